// Labelled files as data sets: rows of every format, GLUE, SQuAD, CoNLL, SWAG, and what is wrong with them, told with its line.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  choiceFeatures,
  classesOf,
  conflicts,
  GLUE,
  GLUE_TASKS,
  glueLabels,
  glueMetrics,
  glueSubmission,
  readChoices,
  readExamples,
  readGlue,
  readRows,
  type ColumnOptions,
  type GlueTask,
} from '../src/data.ts'
import { Tensor, Tokenizer } from '../src/index.node.ts'
import { GLUE_FILES, row } from './support/glue-files.ts'
import { vocabulary } from './support/models.ts'

/** Bytes in pieces of `size`, through characters. */
async function* inPieces(text: string | Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
  for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size)
}
const bytes = (name: string): Uint8Array<ArrayBuffer> => Uint8Array.from(readFileSync(path.join(import.meta.dirname, 'golden', name)))

describe('rows of labelled files', () => {
  const read = async (name: string, text: string | Uint8Array, options: ColumnOptions = {}) => {
    // In pieces, as files come: through characters, words and records.
    const { examples } = await readExamples(inPieces(text, 5), name, options)
    return examples.map(({ text: a, pair, label }) => [a, ...(pair === undefined ? [] : [pair]), label])
  }

  it.each([
    [
      'a.tsv',
      'a "quote\t1\r\n\r\nünï\t0',
      {},
      [
        ['a "quote', '1'],
        ['ünï', '0'],
      ],
    ],
    ['b.tsv', '\ufeffsentence\tlabel\nx \t1\n', {}, [['x ', '1']]],
    ['c.tsv', 'index\tsentence1\tsentence2\tlabel\n7\ta\tb\tyes\n', {}, [['a', 'b', 'yes']]],
    ['d.tsv', 'gj04\t1\t\tOur friends\n', { text: '3', label: '1' }, [['Our friends', '1']]],
    [
      'e.csv',
      '\ufefftext,label\r\n"a, ""b""\nc",x\r\n\r\nd,y',
      {},
      [
        ['a, "b"\nc', 'x'],
        ['d', 'y'],
      ],
    ],
    [
      'f.jsonl',
      '{"text":"a","label":2}\n\n{"text":"b","label":"x"}',
      {},
      [
        ['a', 2],
        ['b', 'x'],
      ],
    ],
    ['g.tsv', 'text\tlabel\n', { header: false }, [['text', 'label']]],
    // Empty cells do no harm, nor what stands behind numbered columns.
    ['p.tsv', 'text\tlabel\na\t1\t\t\n', {}, [['a', '1']]],
    ['q.tsv', '1\ta\n0\tb\tmore', { text: '1', label: '0' }, [['a', '1'], ['b', '0']]], // prettier-ignore
    [
      'h.tsv',
      'a\t1\nb\nc\t0',
      { skip_short: true },
      [
        ['a', '1'],
        ['c', '0'],
      ],
    ],
  ] as const)('%s %j', async (name, text, options, wanted) => {
    expect(await read(name, text, options)).toEqual(wanted)
  })

  it.each([
    ['a.tsv', 'a\t1\nb', {}, /a\.tsv, line 2: expected 2 columns or more, got 1: "b"\. Mend the row, or pass skip_short/],
    ['b.csv', 'text,label\n"a\nb",x\n"c"d,y', {}, /b\.csv, line 4: expected cells as RFC 4180 has them/],
    ['c.jsonl', '{"text":"a","label":1}\n{"text":1}', {}, /c\.jsonl, line 2: field "text": expected a text, got 1/],
    ['d.jsonl', '{"text":"a","label":1}\n{', {}, /d\.jsonl, line 2: expected a JSON object/],
    ['e.tsv', 'sentence\tlabel\na\t1', { text: 'sentense' }, /e\.tsv, line 1: expected a column named "sentense".*Did you mean sentence\?/],
    ['f.tsv', 'a\t1', { label: '2' }, /f\.tsv, line 1: expected column 2 for label, got columns 0 to 1: "a\\t1"/],
    ['g.tsv', 'a, 1', {}, /g\.tsv, line 1: expected a text and a label, got one column: "a, 1".*format csv/],
    ['l.csv', 'a;1\nb;0', {}, /l\.csv, line 1: expected a text and a label, got one column: "a;1"\. Put a comma between them/],
    ['m.csv', 'text;label\na;1', {}, /m\.csv, line 1: expected a text and a label, got one column: "text;label"/],
    ['f.tsv', 'a\t1', { text: 'sentence' }, /f\.tsv, line 1: expected a header with "sentence" for text, got no header: "a\\t1"/],
    [
      'n.csv',
      'text,label\nbad film, really,1\nb,0',
      {},
      /n\.csv, line 2: expected 2 columns, as the header has, got 3: .*bad film.* in quotes/,
    ],
    [
      'o.tsv',
      'a\t1\nb\tmore\t0',
      {},
      /o\.tsv, line 2: expected 2 columns, as the first row has, got 3: "b\\tmore\\t0"\. Take the tabs out/,
    ],
    ['h.tsv', 'text\tlabel\n', {}, /h\.tsv: expected labelled texts, got no row but a header/],
    ['i.tsv', '', {}, /i\.tsv: expected labelled texts, got no row/],
    ['j.tsv', Uint8Array.of(0x61, 0xe4, 9, 0x31), {}, /j\.tsv: expected UTF-8/],
    ['k.xml', 'a', {}, /expected a name that ends in \.tsv/],
  ] as const)('%s %j is refused', async (name, text, options, message) => {
    await expect(read(name, text, options)).rejects.toThrow(message)
  })
})

describe('Parquet', () => {
  it('is read by row groups, from any place or as a stream', async () => {
    const file = bytes('rows.parquet')
    const wanted = [
      ['the cat', 1],
      ['ünï 😀', 0],
      ['', 1],
      ['a\ttab', 0],
    ]
    const read: [number, number][] = []
    const anywhere = {
      size: file.length,
      read: async (start: number, end: number) => {
        read.push([start, end])
        return file.subarray(start, end)
      },
    }
    for (const input of [file, inPieces(file, 1000), new Blob([file]), anywhere]) {
      const { examples } = await readExamples(input, 'rows.parquet')
      expect(examples.map(({ text, label }) => [text, label])).toEqual(wanted)
      expect(examples[3]!.place).toBe('rows.parquet, row 3')
    }
    expect(read.length).toBeGreaterThan(2)
    for await (const { cells } of readRows(file, 'parquet')) {
      expect(cells).toMatchObject({ tokens: ['the', 'cat'], ner_tags: [0, 1], answers: { text: ['London'], answer_start: [15] } })
      break
    }
  })

  it('that is none, is cut off, or is compressed in another way is refused', async () => {
    const file = bytes('rows.parquet')
    await expect(readExamples('text\tlabel', 'a.parquet')).rejects.toThrow(/a\.parquet: expected Parquet, uncompressed or by Snappy/)
    await expect(readExamples(file.subarray(0, file.length - 20), 'b.parquet')).rejects.toThrow(/b\.parquet: expected Parquet/)
    await expect(readExamples(bytes('rows-zstd.parquet'), 'c.parquet')).rejects.toThrow(
      /c\.parquet: expected Parquet.*ZSTD.*compression="snappy"/,
    )
  })
})

describe('classes', () => {
  const examples = (...labels: (string | number)[]) => labels.map((label, i) => ({ place: `line ${i + 1}`, text: `${i % 2}`, label }))

  it('of one label alone are refused', () => {
    expect(() => classesOf(examples('cat', 'cat', 'cat'))).toThrow(
      'line 1: label: expected one of two classes or more, got "cat" here and in all 3 examples',
    )
    expect(() => classesOf(examples('cat', 'cat'), ['cat', 'dog'])).toThrow(/two classes or more/)
  })

  it('of a text that differ are found', () => {
    expect(conflicts(examples('a', 'b', 'a', 'a')).map(([one, other]) => [one.place, other.place])).toEqual([['line 2', 'line 4']])
  })
})

describe('GLUE', () => {
  it.each(GLUE_TASKS)('%s: columns, labels, and what is handed in', async (task) => {
    const { train, test, wanted, prediction } = GLUE_FILES[task]
    const labels = glueLabels(task)
    const examples = await readGlue(task, inPieces(train, 7), GLUE[task].train)
    expect(examples.map((each) => [each.text, ...(each.pair === undefined ? [] : [each.pair]), labels.of(each)])).toEqual(wanted)
    const [first] = await readGlue(task, test, 'test.tsv', 'test')
    expect(first).toMatchObject({ text: 'A test.', label: undefined })
    // The second class is the likeliest, or the score is above the scale.
    const width = GLUE[task].labels?.length ?? 1
    expect(glueSubmission(task, width === 1 ? [5.2] : [0, 3, 1].slice(0, width))).toBe(`index\tprediction\n0\t${prediction}\n`)
  })

  it('a model with another order of classes gives the same metrics and submissions', async () => {
    // Scores of three examples; gold: contradiction, neutral, entailment.
    const ours = { names: GLUE.mnli.labels!, scores: [0, 1, 5, 2, 1, 0, 3, 2, 1], gold: [2, 1, 0] }
    const theirs = { names: ['contradiction', 'entailment', 'neutral'], scores: [5, 0, 1, 0, 2, 1, 1, 3, 2], gold: [0, 2, 1] }
    for (const { names, scores, gold } of [ours, theirs]) {
      const label_ids = new Tensor(Int32Array.from(gold), [3]) as unknown as Tensor
      const predictions = new Tensor(Float32Array.from(scores), [3, 3])
      expect(await glueMetrics('mnli', names)({ predictions, label_ids })).toEqual({ accuracy: 2 / 3 })
      expect(glueSubmission('mnli', scores, names)).toBe('index\tprediction\n0\tcontradiction\n1\tentailment\n2\tentailment\n')
      expect(glueLabels('mnli', names).of({ place: '', text: '', label: 'neutral' })).toBe(names.indexOf('neutral'))
    }
    // F1 is of class 1 of the task, whatever its number.
    const one = {
      predictions: new Tensor(Float32Array.of(0, 1, 0, 1, 1, 0), [3, 2]),
      label_ids: new Tensor(Int32Array.of(1, 0, 0), [3]) as unknown as Tensor,
    }
    expect(await glueMetrics('mrpc')(one)).toMatchObject({ f1: 2 / 3 })
    expect(await glueMetrics('mrpc', ['equivalent', 'not_equivalent'])(one)).toMatchObject({ f1: 2 / 3 })
    expect(
      await glueMetrics('mrpc', ['equivalent', 'not_equivalent'])({
        ...one,
        label_ids: new Tensor(Int32Array.of(1, 1, 1), [3]) as unknown as Tensor,
      }),
    ).toMatchObject({ f1: 0 })
    expect(() => glueLabels('rte', ['a', 'b'])).toThrow(
      /labels of rte: expected the classes entailment, not_entailment, in any order, got a, b/,
    )
  })

  it.each([
    [
      'cola',
      row('sentence', 'label') + row('A', '1'),
      /dev\.tsv, line 1: expected 4 columns, apart by tabs, as CoLA has, got 2: "sentence\\tlabel"/,
    ],
    [
      'sst2',
      row('a fine film', '1'),
      /dev\.tsv, line 1: expected the header of SST-2, with its first text in column 0, got "a fine film\\t1".*text-classification/,
    ],
    [
      'rte',
      row('index', 'sentence1', 'sentence2', 'label') + row('0', 'A', 'B'),
      /dev\.tsv, line 2: expected 4 columns, apart by tabs, as RTE has, got 3: "0\\tA\\tB"/,
    ],
    [
      'rte',
      row('index', 'sentence1', 'sentence2', 'label') + '0,A,B,entailment\n',
      /dev\.tsv, line 2: expected 4 columns.*got 1: "0,A,B,entailment"/,
    ],
    [
      'rte',
      row('index', 'sentence1', 'sentence2', 'label') + row('0', 'A', 'a good', 'film', 'entailment'),
      /dev\.tsv, line 2: expected 4 columns.*got 5: "0\\tA\\ta good\\tfilm\\tentailment"/,
    ],
    ['rte', row('index', 'sentence1', 'sentence2', 'label'), /dev\.tsv: expected the texts of RTE, got none/],
  ] as const)('%s: %j is refused', async (task, text, message) => {
    await expect(readGlue(task, text, 'dev.tsv')).rejects.toThrow(message)
  })

  it('short rows of QQP are left out, and told of', async () => {
    const skipped: string[] = []
    const text = row('id', 'qid1', 'qid2', 'question1', 'question2', 'is_duplicate') + row('0', '1', '2', 'A', 'B', '1') + row('1', '3')
    expect(await readGlue('qqp', text, 'train.tsv', 'labelled', (place) => skipped.push(place))).toHaveLength(1)
    expect(skipped).toEqual(['train.tsv, line 3'])
  })

  it('labels and tasks that are none are refused, and the nearest named', async () => {
    const [example] = await readGlue('rte', row('index', 'sentence1', 'sentence2', 'label') + row('0', 'A', 'B', 'entailmnt'), 'dev.tsv')
    expect(() => glueLabels('rte').of(example!)).toThrow(
      'dev.tsv, line 2: label: expected one of the classes "entailment", "not_entailment", got "entailmnt". Did you mean entailment?',
    )
    expect(() => glueLabels('mnl' as GlueTask)).toThrow(/task: expected one of cola.*Did you mean mnli\?/)
  })
})

describe('multiple choice', () => {
  const SWAG =
    'video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\nv,1,"A b. She","A b.",She,gold,"opens, it.",sings.,c,d,1\n'

  it('of SWAG is a text, and beginnings with endings', async () => {
    expect(await readChoices(inPieces(SWAG, 5), 'train.csv')).toEqual([
      { place: 'train.csv, line 2', text: 'A b.', choices: ['She opens, it.', 'She sings.', 'She c', 'She d'], label: 1 },
    ])
    expect(await readChoices('{"text":"a","choices":["b","c"]}', 'a.jsonl', { labelled: false })).toMatchObject([
      { choices: ['b', 'c'], label: undefined },
    ])
  })

  it('becomes a row a choice', async () => {
    const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': vocabulary() })
    const [feature] = choiceFeatures(await readChoices('{"text":"the cat","choices":["a","b c"],"label":1}', 'a.jsonl'), tokenizer, {
      max_length: 6,
    })
    expect(feature).toMatchObject({ labels: 1 })
    expect((feature!.input_ids as number[][]).map((ids) => tokenizer.decode(ids))).toEqual([
      '[CLS] the cat [SEP] a [SEP]',
      '[CLS] the [SEP] b c [SEP]',
    ])
    expect((feature!.token_type_ids as number[][])[0]).toEqual([0, 0, 0, 0, 1, 1])
  })

  it.each([
    ['a.csv', 'text,ending0,ending1,label\na,b,c,2\n', /a\.csv, line 2: label: expected a whole number from 0 to 1, got "2"/],
    ['b.csv', 'text,ending0,ending1,label\na,b,1\n', /b\.csv, line 2: expected 4 columns, as the header has, got 3/],
    [
      'c.csv',
      'words,ending0,ending1,label\na,b,c,1\n',
      /c\.csv, line 2: expected a text in one of sent1, text.*got the columns words, ending0/,
    ],
    ['d.csv', 'text,ending0,label\na,b,0\n', /d\.csv, line 2: expected two choices or more/],
    [
      'e.jsonl',
      '{"text":"a","choices":["b","c"],"label":0}\n{"text":"a","choices":["b"],"label":0}',
      /e\.jsonl, line 2: expected two choices/,
    ],
    [
      'f.jsonl',
      '{"text":"a","choices":["b","c"],"label":0}\n{"text":"a","choices":["b","c","d"],"label":0}',
      /f\.jsonl, line 2: expected 2 choices, as examples before, got 3/,
    ],
  ])('%s %j is refused', async (name, text, message) => {
    await expect(readChoices(text, name)).rejects.toThrow(message)
  })
})
