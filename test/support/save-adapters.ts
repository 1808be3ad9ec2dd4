// Adapters made, trained and saved by bertlet, for PEFT to load: see test/golden/compare_peft.py.
import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import * as bertlet from '../../src/index.node.ts'
import { HeadTraining } from '../../src/training.ts'
import { readGolden } from './golden.ts'

const CASES: Readonly<Record<string, readonly [base: string, config: bertlet.LoraConfig]>> = {
  answers: ['BertForQuestionAnswering', { r: 3 }],
  sequence: ['BertForSequenceClassification-single', { r: 4, target_modules: 'all-linear', bias: 'all', modules_to_save: ['pooler'] }],
  tokens: ['BertForTokenClassification', { r: 2, use_rslora: true, target_modules: '.*(query|output\\.dense)', bias: 'lora_only' }],
  words: ['BertForMaskedLM', { r: 3, target_modules: ['dense'], bias: 'all', rank_pattern: { 'intermediate.dense': 7 } }],
}
const CLASSES = bertlet as unknown as Readonly<Record<string, bertlet.ModelClass & typeof bertlet.BertForSequenceClassification>>

for (const [name, [base, config]] of Object.entries(CASES)) {
  const { folder, tensors } = await readGolden(`training-heads/${base}`)
  const inputs = Object.fromEntries([...tensors].filter(([key]) => !key.startsWith('grad.'))) as never
  const model = await CLASSES[base.split('-')[0]!]!.fromPretrained(folder)
  const tuned = await model.withAdapter(config)
  const training = new HeadTraining(tuned)
  for (let step = 0; step < 5; step++) await training.step(inputs, 1e-2)
  await training.dispose()
  const to = path.join(process.argv[2]!, name)
  await mkdir(to, { recursive: true })
  await tuned.savePretrained(to)
  const { loss } = await tuned(inputs)
  await writeFile(path.join(to, 'loss.json'), JSON.stringify({ base, loss: loss!.data[0] }))
  await tuned.dispose()
  await model.dispose()
}
process.exit(0)
