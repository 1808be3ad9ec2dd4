// Tasks of finetune and evaluate as programs meet them: the built command in child processes, on generated data that can be learnt.
import { existsSync } from 'node:fs'
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readFile as readData } from '../src/cli/data-files.ts'
import { trainingCurves } from '../src/cli/plot.ts'
import { pipeline } from '../src/index.node.ts'
import { bertlet, build, jsonl } from './support/command.ts'
import { checkpoint, vocabulary } from './support/models.ts'

let folder: string
const at = (name: string): string => path.join(folder, name)
beforeAll(async () => {
  await build()
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-tasks-'))
  await mkdir(at('model'))
  for (const [name, bytes] of Object.entries({ ...checkpoint({ num_hidden_layers: 1 }), 'vocab.txt': vocabulary() }))
    await writeFile(at(`model/${name}`), bytes)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Report {
  task: string
  examples: number
  eval_examples: number
  labels: string[] | null
  metrics: Record<string, number>
}
const COMMON = ['--per-device-train-batch-size', '8', '--learning-rate', '3e-3', '--threads', '1', '--json']
const finetune = async (task: string, train: string, output: string, ...more: string[]): Promise<Report> => {
  const { code, stdout, stderr } = await bertlet([
    'finetune',
    task,
    train,
    '--model',
    at('model'),
    '--output',
    at(output),
    ...COMMON,
    ...more,
  ])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return JSON.parse(stdout) as Report
}
const evaluate = async (...args: string[]): Promise<Record<string, number>> => {
  const { code, stdout, stderr } = await bertlet(['evaluate', ...args, '--threads', '1', '--json'])
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  return (JSON.parse(stdout) as Report).metrics
}
const timeless = (metrics: Record<string, number>): Record<string, number> =>
  Object.fromEntries(Object.entries(metrics).filter(([name]) => !/runtime|second|^examples$/.test(name)))

describe('a task of GLUE', () => {
  const HEADER = 'index\tpromptID\tpairID\tgenre\tparse1\tparse2\tparse3\tparse4\tsentence1\tsentence2'
  const LABELS = ['contradiction', 'entailment', 'neutral']
  const row = (i: number, label: boolean): string =>
    [i, 0, 0, 0, 0, 0, 0, 0, ['the cat', 'a text', 'dog'][i % 3], ['x', 'y'][i % 2], ...(label ? [LABELS[i % 3]] : [])].join('\t')
  const table = (header: string, count: number, label: boolean): string =>
    `${[header, ...Array.from({ length: count }, (_, i) => row(i, label))].join('\n')}\n`

  it('learns from its folder, measures all its dev files, and writes what is handed in', async () => {
    await mkdir(at('MNLI'))
    await writeFile(at('MNLI/train.tsv'), table(`${HEADER}\tgold_label`, 48, true))
    for (const name of ['dev_matched', 'dev_mismatched']) await writeFile(at(`MNLI/${name}.tsv`), table(`${HEADER}\tgold_label`, 12, true))
    for (const name of ['test_matched', 'test_mismatched']) await writeFile(at(`MNLI/${name}.tsv`), table(HEADER, 6, false))
    const report = await finetune('mnli', at('MNLI'), 'mnli', '--num-train-epochs', '5', '--load-best-model-at-end')
    expect(report).toMatchObject({ task: 'mnli', examples: 48, eval_examples: 24, labels: ['entailment', 'neutral', 'contradiction'] })
    expect(report.metrics).toMatchObject({ accuracy: 1, mismatched_accuracy: 1 })
    expect(report.metrics.f1).toBeUndefined()
    const metrics = await evaluate('mnli', at('mnli'), at('MNLI'), '--submission', at('submission'), '--predictions', at('found.jsonl'))
    expect(timeless(metrics)).toEqual(timeless(report.metrics))
    for (const name of ['MNLI-m', 'MNLI-mm'])
      expect(await readFile(at(`submission/${name}.tsv`), 'utf8')).toBe(
        `index\tprediction\n${LABELS.concat(LABELS)
          .map((label, i) => `${i}\t${label}\n`)
          .join('')}`,
      )
    expect(existsSync(at('submission/AX.tsv'))).toBe(false)
    expect(jsonl<{ text_pair: string }>(await readFile(at('mismatched_found.jsonl'), 'utf8'))).toHaveLength(12)
    const svg = await readFile(at('mnli/training.svg'), 'utf8')
    expect(svg).toMatch(/^<svg [^]*eval_loss[^]*eval_accuracy[^]*<\/svg>\n$/)
  })

  it.each([
    [
      ['mnli', 'nowhere'],
      /files: expected a folder with train\.tsv and dev_matched\.tsv and dev_mismatched\.tsv, got ".*nowhere"\. GLUE's archive of MNLI is such a folder/,
    ],
    [['mnli', 'MNLI', '--eval', 'x'], /--eval: expected none, as mnli has dev_matched\.tsv and dev_mismatched\.tsv/],
    [['mnli', 'MNLI', '--regression'], /--regression: expected the task text-classification, got mnli/],
    [['mnlj', 'MNLI'], /task: expected one of text-classification.*got "mnlj"\. Did you mean mnli\?/],
    [['mnli'], /arguments: expected <train> after the task mnli, got none\. A file of that name is \.\/mnli/],
  ])('%j is refused', async ([task, file, ...more], message) => {
    const args = ['finetune', task!, ...(file === undefined ? [] : [at(file)]), '--output', at('no'), '--model', at('model'), ...more]
    expect(await bertlet(args)).toMatchObject({
      code: expect.any(Number) as number,
      stdout: '',
      stderr: expect.stringMatching(message) as string,
    })
    expect(existsSync(at('no'))).toBe(false)
  })
})

describe('question answering', () => {
  // The answer is the word after "the".
  const paragraph = (i: number, none: boolean): object => {
    const word = ['cat', 'text', 'b', 'c', 'd'][i % 5]!
    const context = `${'a '.repeat(i % 3)}${none ? 'x' : 'the'} ${word} a a`
    const answers = none ? [] : [{ text: word, answer_start: context.indexOf(word, context.indexOf('the') + 3) }]
    return { context, qas: [{ id: `q${i}`, question: 'x', answers, ...(none && { is_impossible: true }) }] }
  }
  const squad = (count: number, v2: boolean): string =>
    JSON.stringify({
      version: 'v',
      data: [{ title: 't', paragraphs: Array.from({ length: count }, (_, i) => paragraph(i, v2 && i % 2 === 1)) }],
    })

  it.each([
    ['v1.1', false, ['exact_match', 'f1']],
    ['v2.0', true, ['exact', 'f1', 'NoAns_f1', 'best_f1']],
  ] as const)('of SQuAD %s learns, and writes predictions as the official evaluation takes them', async (version, v2, names) => {
    await writeFile(at(`${version}.json`), squad(60, v2))
    const flags = v2 ? ['--version-2-with-negative'] : []
    const args = ['--eval', at(`${version}.json`), '--num-train-epochs', '12', '--max-length', '32', ...flags]
    const { metrics, examples } = await finetune('question-answering', at(`${version}.json`), version, ...args)
    expect(examples).toBe(60)
    for (const name of names) expect([name, metrics[name]! > 90]).toEqual([name, true])
    await mkdir(at('p'), { recursive: true })
    const again = await evaluate(
      at(version),
      at(`${version}.json`),
      '--max-length',
      '32',
      '--predictions',
      at(`p/${version}.json`),
      ...flags,
    )
    expect(timeless(again)).toEqual(timeless(metrics))
    const predictions = JSON.parse(await readFile(at(`p/${version}.json`), 'utf8')) as Record<string, string>
    expect(Object.keys(predictions)).toHaveLength(60)
    expect(predictions).toMatchObject({ q0: 'cat', q2: 'b' })
    const best = JSON.parse(await readFile(at(`p/nbest_${version}.json`), 'utf8')) as Record<
      string,
      { text: string; probability: number }[]
    >
    expect(best.q0![0]).toMatchObject({ text: 'cat' })
    expect(best.q0!.reduce((sum, { probability }) => sum + probability, 0)).toBeCloseTo(1, 9)
    expect(existsSync(at(`p/null_odds_${version}.json`))).toBe(v2)
  })

  it('refuses questions without answer in v1.1, and spans that are not in the context', async () => {
    await writeFile(at('v2.json'), squad(4, true))
    await writeFile(at('bad.json'), squad(4, false).replace(/"answer_start":\d+/, '"answer_start":1'))
    for (const [file, message] of [
      ['v2.json', /v2\.json, question "q1": expected an answer, got none\. Of SQuAD v2\.0 pass --version-2-with-negative/],
      ['bad.json', /bad\.json, question "q0", answer 0: answer_start: expected where "cat" stands.*got 1.*It stands at 4/],
    ] as const)
      expect(await bertlet(['finetune', 'question-answering', at(file), '--output', at('no'), '--model', at('model')])).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(message) as string,
      })
  })
})

describe('tagged words', () => {
  it('are learnt; predictions are what conlleval reads', async () => {
    const sentence = (i: number): string => `a O\n${i % 2 === 0 ? 'the B-X\ncat I-X' : 'text O'}\nb O\n`
    await writeFile(at('train.conll'), Array.from({ length: 40 }, (_, i) => sentence(i)).join('\n'))
    const { metrics, labels } = await finetune(
      'token-classification',
      at('train.conll'),
      'tags',
      '--eval',
      at('train.conll'),
      '--num-train-epochs',
      '4',
    )
    expect(labels).toEqual(['O', 'B-X', 'I-X'])
    expect(metrics).toMatchObject({ precision: 1, recall: 1, f1: 1, accuracy: 1 })
    expect(timeless(await evaluate(at('tags'), at('train.conll'), '--predictions', at('tags.txt')))).toEqual(timeless(metrics))
    expect((await readFile(at('tags.txt'), 'utf8')).slice(0, 46)).toBe('a O O\nthe B-X B-X\ncat I-X I-X\nb O O\n\na O O\ntex')
    await writeFile(at('words.conll'), 'a\nthe\ncat\n')
    await evaluate(at('tags'), at('words.conll'), '--predictions', at('words.txt'))
    expect(await readFile(at('words.txt'), 'utf8')).toBe('a O\nthe B-X\ncat I-X\n\n')
  })

  it('of one tag, or of an unknown one, are refused', async () => {
    await writeFile(at('one.conll'), 'a O\nb O\n')
    await writeFile(at('other.conll'), 'a O\nb B-Y\n')
    const run = (...args: string[]) => bertlet([...args, '--model', at('model'), '--output', at('no')])
    expect((await run('finetune', 'token-classification', at('one.conll'))).stderr).toMatch(
      /one\.conll: expected two tags or more, got "O" of every word/,
    )
    expect((await run('finetune', 'token-classification', at('train.conll'), '--eval', at('other.conll'))).stderr).toMatch(
      /other\.conll, line 1: tag: expected one of O, B-X, I-X, got "B-Y"/,
    )
  })
})

it('multiple choice is learnt', async () => {
  const line = (i: number): string => `,the cat,a,${i % 2 === 0 ? 'text b,b b' : 'b b,text b'},${i % 2}`
  await writeFile(at('swag.csv'), `id,sent1,sent2,ending0,ending1,label\n${Array.from({ length: 40 }, (_, i) => line(i)).join('\n')}\n`)
  const { metrics } = await finetune('multiple-choice', at('swag.csv'), 'choice', '--eval', at('swag.csv'), '--num-train-epochs', '6')
  expect(metrics.accuracy).toBe(1)
  expect(timeless(await evaluate('multiple-choice', at('choice'), at('swag.csv'), '--predictions', at('choice.jsonl')))).toEqual(
    timeless(metrics),
  )
  const [first] = jsonl<object>(await readFile(at('choice.jsonl'), 'utf8'))
  expect(first).toMatchObject({ text: 'the cat', choices: ['a text b', 'a b b'], label: 0, prediction: 0 })
})

describe('sentence embeddings', () => {
  const texts = ['the cat', 'a text', 'the dog', 'b of a cat', 'c number', 'text of dog']
  const pair = (i: number): [string, string, number] => {
    const [a, b] = [texts[i % 6]!, texts[(i * 5 + (i >> 2)) % 6]!]
    return [a, b, a === b ? 5 : a.split(' ').some((word) => b.split(' ').includes(word)) ? 3 : 0]
  }
  const rows = Array.from({ length: 48 }, (_, i) => pair(i))

  it('are tuned by pairs with scores; evaluate finds the same, feature-extraction the pooling', async () => {
    await writeFile(at('pairs.tsv'), `sentence1\tsentence2\tscore\n${rows.map((row) => row.join('\t')).join('\n')}\n`)
    const more = ['--eval', at('pairs.tsv'), '--num-train-epochs', '8', '--pooling', 'cls']
    const { task, metrics } = await finetune('sentence-similarity', at('pairs.tsv'), 'embedder', ...more)
    expect(task).toBe('sentence-similarity')
    const before = await evaluate('sentence-similarity', at('model'), at('pairs.tsv'), '--pooling', 'cls')
    expect(metrics.spearman).toBeGreaterThan(Math.max(0.9, before.spearman!))
    // The task is the model's, and so is the pooling.
    expect(timeless(await evaluate(at('embedder'), at('pairs.tsv'), '--predictions', at('pairs.jsonl')))).toEqual(timeless(metrics))
    const [first] = jsonl<{ texts: string[]; score: number; prediction: number }>(await readFile(at('pairs.jsonl'), 'utf8'))
    expect(first).toMatchObject({ texts: rows[0]!.slice(0, 2), score: rows[0]![2] })
    const embed = await pipeline('feature-extraction', at('embedder'), { threads: 0 })
    const { data } = await embed(first!.texts, { pooling: 'auto', normalize: true })
    await embed.dispose()
    const width = data.length / 2
    const cosine = Array.from({ length: width }, (_, i) => data[i]! * data[width + i]!).reduce((sum, x) => sum + x, 0)
    // Sums of `width` products, each rounded.
    expect(Math.abs(cosine - first!.prediction)).toBeLessThan(width * 2 ** -24)
  })

  it('are tuned by pairs and triplets without scores, also by an adapter', async () => {
    await writeFile(at('near.csv'), texts.map((text) => `"${text}","${text} a"`).join('\n'))
    expect((await finetune('sentence-similarity', at('near.csv'), 'near', '--max-steps', '2')).metrics).toEqual({})
    const triplets = texts.map((text, i) => ({ id: i, anchor: text, positive: `${text} b`, negative: texts[(i + 1) % 6] }))
    await writeFile(at('triplets.jsonl'), triplets.map((row) => JSON.stringify(row)).join('\n'))
    const kind = ['--loss', 'TripletLoss', '--adapter', 'lora', '--max-steps', '2']
    await finetune('sentence-similarity', at('triplets.jsonl'), 'triplets', ...kind)
    const found = await evaluate(at('model'), at('triplets.jsonl'), '--adapter', at('triplets'))
    expect(found.loss).toBeGreaterThan(0)
  })

  it.each([
    ['near.csv', ['--loss', 'CoSENTLoss'], /near\.csv, line 1: expected two texts and a score, as CoSENTLoss takes them, got no score/],
    ['pairs.tsv', ['--loss', 'CosineSimilarityLoss'], /score: expected a cosine, from -1 to 1, got [35]\. Divide scores/],
    ['pairs.tsv', ['--loss', 'TripletLoss'], /expected texts without a score, as TripletLoss takes them, got the score/],
    ['near.csv', ['--loss', 'TripletLoss'], /expected 3 texts, as TripletLoss takes them, got 2/],
    ['near.csv', ['--columns', '0'], /near\.csv, line 1: expected two texts or more/],
    ['pairs.tsv', ['--columns', 'sentence1,sentense2'], /a column named "sentense2" for --columns.*Did you mean sentence2\?/],
    ['near.csv', ['--head-only'], /--head-only: expected a task whose model has a head, got sentence-similarity/],
  ] as const)('%s %j is refused', async (file, more, message) => {
    const args = ['finetune', 'sentence-similarity', at(file), '--model', at('model'), '--output', at('refused'), ...more]
    expect(await bertlet(args)).toMatchObject({ stdout: '', stderr: expect.stringMatching(message) as string })
  })
})

describe('evaluate', () => {
  it.each([
    [['rte', 'choice', 'swag.csv'], /model: expected a BertForSequenceClassification, as rte wants, got "BertForMultipleChoice"/],
    [['choice'], /arguments: expected <model> <file>/],
    [['choice', 'swag.csv', '--submission', 'x'], /--submission: expected a task of GLUE/],
    [
      ['multiple-choice', 'choice', 'swag.csv', '--doc-stride', '3'],
      /--doc-stride: expected the task question-answering, got multiple-choice/,
    ],
  ])('%j is refused', async (args, message) => {
    const given = args.map((word) => (/^(choice|swag)/.test(word) ? at(word) : word))
    expect(await bertlet(['evaluate', ...given])).toMatchObject({ stdout: '', stderr: expect.stringMatching(message) as string })
  })

  it('tells what is wrong with a first row, whatever the format', async () => {
    await writeFile(at('semicolons.csv'), 'a;1\nb;0\n')
    for (let i = 0; i < 5; i++)
      expect(await bertlet(['finetune', at('semicolons.csv'), '--output', at('none'), '--model', at('model')])).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(
          /semicolons\.csv, line 1: expected a text and a label, got one column: "a;1"\. Put a comma/,
        ) as string,
      })
  })

  it('names the classes, and doubts labels that are nearly all different', async () => {
    const output = ['--output', at('classes'), '--model', at('model'), '--threads', '1', '--max-steps', '1']
    await writeFile(at('classes.tsv'), Array.from({ length: 9 }, (_, i) => `the cat ${i}\ttopic ${i}`).join('\n'))
    const { stdout, stderr } = await bertlet(['finetune', at('classes.tsv'), ...output])
    expect(stdout).toMatch(/no header, classes topic 0 topic 1 .* topic 8\n/)
    expect(stderr).toMatch(/warning: 9 classes in 9 examples: is the label in the column that was taken for it\?/)
  })

  it('reads Parquet; texts with several labels are warned of', async () => {
    const parquet = path.join(import.meta.dirname, 'golden/rows.parquet')
    const output = ['--output', at('parquet'), '--model', at('model'), ...COMMON, '--max-steps', '2']
    expect(await bertlet(['finetune', parquet, ...output])).toMatchObject({ code: 0, stderr: '' })
    await writeFile(at('two.tsv'), 'the cat\t1\na\t0\nthe cat\t0\n')
    const warned = await bertlet(['finetune', at('two.tsv'), '--output', at('two'), '--model', at('model'), ...COMMON, '--max-steps', '2'])
    expect(warned).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/warning: .*two\.tsv, line 3 has the text of .*line 1, with another label\n/) as string,
    })
  })
})

it('a file that changes while it is read is refused, whatever is wrong with it then', async () => {
  const { signal } = new AbortController()
  await writeFile(at('changing.tsv'), 'a\t1\n')
  const change = async (): Promise<never> => {
    await appendFile(at('changing.tsv'), 'b')
    throw new Error('a row is short')
  }
  for (const read of [change, () => appendFile(at('changing.tsv'), 'c')])
    await expect(readData(at('changing.tsv'), signal, read)).rejects.toThrow(
      /changing\.tsv: expected a file that stays as it is while it is read, got one that changed/,
    )
  await expect(readData(at('changing.tsv'), signal, async () => 7)).resolves.toBe(7)
})

describe('curves', () => {
  const log =
    '{"step":1,"loss":3,"learning_rate":1}\n{"step":2,"loss":2}\n{"step":2,"eval_loss":2.5,"eval_f1":80,"eval_accuracy":0.5,"eval_runtime":9}\n{"step":2,"loss":1}\n'

  it('are of losses and metrics, a step once', () => {
    const svg = trainingCurves(log)!
    expect([...svg.matchAll(/text-anchor="end" fill="#\w+">(\w+)</g)].map(([, name]) => name)).toEqual([
      'loss',
      'eval_loss',
      'eval_accuracy',
      'eval_f1',
    ])
    // From the loss's most, at the top left, to its least.
    expect(svg).toContain('d="M0,0L360,240"')
    expect(trainingCurves('')).toBeUndefined()
  })
})
