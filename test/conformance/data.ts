// bertlet/data on every platform: files from memory and from a Blob, as a page's file picker gives them.
import { entityMetrics, readExamples, readSquad, readTagged, SquadFeatures, squadMetrics } from '../../src/data.ts'
import { Tokenizer } from '../../src/index.ts'
import { rejects, same, type ConformanceCase } from './case.ts'

const bytes = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)
const pairs = async (input: Parameters<typeof readExamples>[0], name: string): Promise<unknown> =>
  (await readExamples(input, name)).examples.map(({ text, label }) => [text, label])

/** Texts of every kind of table, and what is read of them. */
const TABLES: Readonly<Record<string, readonly [text: string, wanted: unknown]>> = {
  'a.tsv': ['text\tlabel\nan "odd one\tx\r\nünï\ty', [['an "odd one', 'x'], ['ünï', 'y']]], // prettier-ignore
  'a.csv': ['text,label\r\n"a, ""b""\nc",x\r\nd,y', [['a, "b"\nc', 'x'], ['d', 'y']]], // prettier-ignore
  'a.jsonl': ['{"text":"😀","label":2}\n\n{"text":"b","label":0}', [['😀', 2], ['b', 0]]], // prettier-ignore
}

const SQUAD = JSON.stringify({
  data: [{ title: 't', paragraphs: [{ context: '😀 b c', qas: [{ id: 'q', question: 'b', answers: [{ text: 'c', answer_start: 4 }] }] }] }],
})

export const DATA: readonly ConformanceCase[] = [
  ...Object.entries(TABLES).map(([name, [text, wanted]]) => ({
    name: `${name} from text, bytes and a Blob`,
    run: async () => {
      for (const input of [text, bytes(text), new Blob([text])]) same(await pairs(input, name), wanted, 'texts and labels')
    },
  })),
  {
    name: 'Parquet from bytes and a Blob',
    async run(files) {
      const file = await files.read('rows.parquet')
      const wanted = [['the cat', 1], ['ünï 😀', 0], ['', 1], ['a\ttab', 0]] // prettier-ignore
      for (const input of [file, new Blob([file])]) same(await pairs(input, 'rows.parquet'), wanted, 'texts and labels')
    },
  },
  {
    name: 'SQuAD becomes windows, and answers are measured',
    async run() {
      const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': '[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nb\nc' })
      const questions = await readSquad(new Blob([SQUAD]), 'dev.json')
      const { start, end, input_ids } = new SquadFeatures(questions, tokenizer, {}).windows[0]!
      same([[...input_ids], start, end], [[2, 5, 3, 1, 5, 6, 3], 5, 5], 'the window')
      same(squadMetrics(questions, { q: 'The c.' }), { exact_match: 100, f1: 100 }, 'metrics')
    },
  },
  {
    name: 'tagged words become entities',
    async run() {
      const [sentence] = await readTagged(bytes('Ada B-PER\nL. I-PER\nlived O\n'), 'a.conll')
      same(sentence, { place: 'a.conll, line 1', words: ['Ada', 'L.', 'lived'], tags: ['B-PER', 'I-PER', 'O'] }, 'the sentence')
      same(entityMetrics([sentence!.tags!], [['B-PER', 'O', 'O']]).f1, 0, 'F1')
    },
  },
  {
    name: 'what is wrong is told with its line',
    async run() {
      const short = new Blob(['a\t1\nb'])
      await rejects(() => readExamples(short, 'a.tsv'), /a\.tsv, line 2: expected 2 columns or more, got 1: "b"/, 'a short row')
      await rejects(
        () => readExamples(bytes('text,label\n"a"b,1'), 'a.csv'),
        /a\.csv, line 2: expected cells as RFC 4180/,
        'a quote amid a cell',
      )
    },
  },
]
