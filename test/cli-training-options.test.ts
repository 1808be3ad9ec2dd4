// What finetune, pretrain and evaluate can be asked beside their plain use (cli-finetune.test.ts): when to end, what to train, from where, on what.
import { execFile } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BIN, bertlet, build, jsonl } from './support/command.ts'
import { checkpoint, vocabulary } from './support/models.ts'
import { random } from './support/random.ts'
import { describeNodes } from './support/runtimes/conforms.ts'
import { readSafetensors } from './support/safetensors.ts'

let folder: string
const at = (name: string): string => path.join(folder, name)
beforeAll(async () => {
  await build()
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-options-'))
  await mkdir(at('model'))
  for (const [name, bytes] of Object.entries({ ...checkpoint({ num_hidden_layers: 1 }), 'vocab.txt': vocabulary() }))
    await writeFile(at(`model/${name}`), bytes)
  const line = (i: number): string => `${i % 2 === 0 ? 'the cat' : 'a text'} ${i % 9}\t${i % 2 === 0 ? 'cat' : 'other'}`
  await writeFile(at('train.tsv'), Array.from({ length: 40 }, (_, i) => line(i)).join('\n'))
  await writeFile(at('corpus.txt'), corpus(20))
  await writeFile(at('other.txt'), corpus(6))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const corpus = (documents: number): string =>
  Array.from({ length: documents }, (_, d) =>
    Array.from({ length: 5 }, (__, k) => `the ${['cat', 'text', 'dog'][(d + k) % 3]} number ${d} of a b c .\n`).join(''),
  ).join('\n')
const finetune = (output: string, ...more: string[]) =>
  bertlet([
    'finetune',
    at('train.tsv'),
    '--model',
    at('model'),
    '--output',
    at(output),
    '--threads',
    '1',
    '--learning-rate',
    '2e-3',
    ...more,
  ])
const pretrain = (output: string, ...more: string[]) =>
  bertlet(['pretrain', at('corpus.txt'), '--output', at(output), '--seq', '32', '--threads', '1', ...more])
const SIZES = ['--layers', '1', '--hidden', '32', '--heads', '2']
const report = <T = Record<string, unknown>>(stdout: string): T & { metrics: Record<string, number> } => JSON.parse(stdout) as never
const tensors = async (file: string) => readSafetensors(await readFile(at(file)))

describe('bertlet finetune', () => {
  it('--max-minutes saves and ends when they are over, and --resume goes on', async () => {
    const { code, stdout, stderr } = await finetune('minutes', '--max-steps', '100000', '--max-minutes', '0.02', '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { early, global_step, seconds } = report<{ early: string; global_step: number; seconds: number }>(stdout)
    expect(early).toBe('time')
    expect(global_step).toBeLessThan(100000)
    expect(seconds).toBeGreaterThan(1.2)
    expect((await readdir(at('minutes'))).sort()).toEqual(
      expect.arrayContaining([`checkpoint-${global_step}`, 'config.json', 'model.safetensors', 'tokenizer.json']) as string[],
    )
    const more = await finetune('minutes', '--max-steps', '100000', '--max-minutes', '0.01', '--json', '--resume')
    expect(report<{ global_step: number }>(more.stdout).global_step).toBeGreaterThan(global_step)
  })

  it('--head-only leaves every bit of the trunk but the pooler', async () => {
    expect(await finetune('head', '--head-only', '--max-steps', '3')).toMatchObject({ code: 0, stderr: '' })
    const [before, after] = [await tensors('model/model.safetensors'), await tensors('head/model.safetensors')]
    const changed = [...before].filter(([name, { data }]) => {
      const now = after.get(`bert.${name}`) ?? after.get(name)
      return now === undefined || now.data.some((x, i) => !Object.is(x, data[i]))
    })
    expect(before.size).toBeGreaterThan(15)
    expect(changed.map(([name]) => name).filter((name) => !name.includes('pooler'))).toEqual([])
    expect(await finetune('whole', '--max-steps', '3')).toMatchObject({ code: 0 })
    expect((await tensors('whole/model.safetensors')).get('bert.embeddings.LayerNorm.weight')!.data).not.toEqual(
      after.get('bert.embeddings.LayerNorm.weight')!.data,
    )
  })

  it('--bias-only leaves every bit of the trunk but its biases', async () => {
    expect(await finetune('bias', '--bias-only', '--max-steps', '3')).toMatchObject({ code: 0, stderr: '' })
    const [before, after] = [await tensors('model/model.safetensors'), await tensors('bias/model.safetensors')]
    const changed = [...before].filter(([name, { data }]) => after.get(`bert.${name}`)!.data.some((x, i) => !Object.is(x, data[i])))
    const names = changed.map(([name]) => name).filter((name) => !name.includes('pooler'))
    expect(names.length).toBeGreaterThan(8)
    expect(names.filter((name) => !name.endsWith('bias'))).toEqual([])
  })

  it('a run of few steps has a curve, to its last step', async () => {
    expect(await finetune('few-steps', '--max-steps', '3')).toMatchObject({ code: 0 })
    const lines = jsonl<{ step: number; loss?: number }>(await readFile(at('few-steps/log.jsonl'), 'utf8'))
    expect(lines.flatMap(({ step, loss }) => (loss === undefined ? [] : [step]))).toEqual([1, 2, 3])
    expect(await finetune('told-steps', '--max-steps', '5', '--logging-steps', '3')).toMatchObject({ code: 0 })
    const told = jsonl<{ step: number; loss?: number }>(await readFile(at('told-steps/log.jsonl'), 'utf8'))
    expect(told.flatMap(({ step, loss }) => (loss === undefined ? [] : [step]))).toEqual([3, 5])
  })

  it('--early-stopping-patience ends when evaluations are no better, --load-best-model-at-end with the best of them', async () => {
    // At this rate it soon gets worse.
    const { code, stdout } = await finetune('early', '--eval', at('train.tsv'), '--learning-rate', '0.5', '--max-steps', '400',
      '--eval-steps', '2', '--early-stopping-patience', '2', '--load-best-model-at-end', '--json') // prettier-ignore
    expect(code).toBe(0)
    const { global_step, metrics } = report<{ global_step: number }>(stdout)
    const losses = jsonl<{ step: number; eval_loss?: number }>(await readFile(at('early/log.jsonl'), 'utf8')).filter(
      (line) => line.eval_loss !== undefined,
    )
    const best = losses.reduce((least, one) => (one.eval_loss! < least.eval_loss! ? one : least))
    expect(global_step).toBe(best.step + 4)
    expect(losses.at(-1)!.step).toBe(global_step)
    expect(metrics.loss).toBe(best.eval_loss)
  })

  it('--dropout stands in the config of the model, and shows in the steps', async () => {
    const losses: unknown[] = []
    for (const p of ['0', '0.5']) {
      const { code, stdout } = await finetune(`dropout-${p}`, '--dropout', p, '--max-steps', '2', '--json')
      expect(code).toBe(0)
      losses.push(report(stdout).training_loss)
      const config = JSON.parse(await readFile(at(`dropout-${p}/config.json`), 'utf8')) as Record<string, unknown>
      expect(config).toMatchObject({ hidden_dropout_prob: Number(p), attention_probs_dropout_prob: Number(p) })
    }
    expect(await finetune('refused', '--dropout', '1')).toMatchObject({ code: 2, stderr: expect.stringContaining('--dropout') as string })
  })

  it('--fast runs fused multiply-adds, or says that this engine has none', async () => {
    const { code, stderr } = await finetune('fast', '--fast', '--max-steps', '2')
    const relaxed = (process.versions.v8.split('.').map(Number)[0] ?? 0) >= 12
    if (!relaxed) {
      expect({ code, stderr }).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/--fast: expected an engine with relaxed SIMD/) as string,
      })
      return
    }
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const state = JSON.parse(await readFile(at('fast/checkpoint-2/trainer_state.json'), 'utf8')) as { arguments: object }
    expect(state.arguments).toMatchObject({ precision: 'fast' })
    // Exact steps would not be those of the run.
    expect(await finetune('fast', '--max-steps', '2', '--resume')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/precision: expected "fast", with which checkpoint-2 was made/) as string,
    })
  })

  it('--gradient-checkpointing changes the memory, and no bit of the weights', async () => {
    const run = async (output: string, ...more: string[]): Promise<Buffer> => {
      expect(await finetune(output, '--max-steps', '4', ...more)).toMatchObject({ code: 0, stderr: '' })
      return readFile(at(`${output}/model.safetensors`))
    }
    const [kept, again] = [await run('kept-activations'), await run('recomputed', '--gradient-checkpointing')]
    expect(again.equals(kept)).toBe(true)
    expect((await readFile(at('model/model.safetensors'))).equals(kept)).toBe(false)
  })

  it('--max-memory refuses what does not fit before the first step, and makes activations anew where that is enough', async () => {
    const refused = await finetune('no-room', '--max-steps', '4', '--max-memory', '1.5MB')
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/need \d+ bytes of memory, and 1500000 is the most.*Nothing was allocated\. To lower it, /s) as string,
    })
    expect(await readdir(at('no-room'))).toEqual([])
    const wanted = /need (\d+) bytes/.exec(refused.stderr)![1]!
    // Those bytes are what recomputation takes; without it they are not enough.
    expect(await finetune('room', '--max-steps', '4', '--max-memory', wanted)).toMatchObject({ code: 0, stderr: '' })
    expect(await finetune('all', '--max-steps', '4', '--max-memory', '2GB')).toMatchObject({ code: 0, stderr: '' })
    const [room, all] = await Promise.all(['room', 'all'].map((name) => readFile(at(`${name}/model.safetensors`))))
    expect(room!.equals(all!)).toBe(true)
    for (const bytes of ['0', 'much', '-1MB'])
      expect(await finetune('refused-bytes', `--max-memory=${bytes}`)).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/--max-memory <bytes>.*It takes a number of bytes above 0/) as string,
      })
    for (const command of ['finetune', 'pretrain'])
      expect((await bertlet([command, '--help'])).stdout).toMatch(/--max-memory <bytes> [^-]*800MB/)
  })

  it('writes the files that transformers looks for', async () => {
    await finetune('files', '--max-steps', '1')
    const names = (await readdir(at('files'))).filter((name) => name !== 'log.jsonl' && name !== 'training.svg').sort()
    expect(names).toEqual(['checkpoint-1', 'config.json', 'model.safetensors', 'special_tokens_map.json', 'tokenizer.json', 'tokenizer_config.json', 'vocab.txt']) // prettier-ignore
    const held = (await readdir(at('files/checkpoint-1'))).sort()
    expect(held).toEqual([...names.slice(1), 'checksums.json', 'optimizer.safetensors', 'trainer_state.json'].sort())
    const config = JSON.parse(await readFile(at('files/config.json'), 'utf8')) as Record<string, unknown>
    expect(config).toMatchObject({ model_type: 'bert', architectures: ['BertForSequenceClassification'] })
    // What transformers' save_pretrained writes for this class, committed by test/golden/compare_transformers.py.
    const { saved } = JSON.parse(await readFile(path.join(import.meta.dirname, 'golden/names.json'), 'utf8')) as {
      saved: { class: string; tensors: object }[]
    }
    const wanted = Object.keys(saved.find((one) => one.class === 'BertForSequenceClassification')!.tensors)
    const layer = (name: string): string => name.replace(/layer\.\d+/, 'layer.N')
    expect([...new Set([...(await tensors('files/model.safetensors')).keys()].map(layer))].sort()).toEqual(
      [...new Set(wanted.map(layer))].sort(),
    )
  })
})

await describeNodes('bertlet finetune --fast under Node 24', (nodes) => {
  const node24 = nodes.find(({ name }) => name === 'node24')!
  it(`trains, to nearly the weights of exact steps and not their bits (${node24.version})`, async () => {
    const asked = [
      'finetune',
      at('train.tsv'),
      '--model',
      at('model'),
      '--threads',
      '1',
      '--max-steps',
      '3',
      '--learning-rate',
      '2e-3',
      '--json',
    ]
    const losses: number[] = []
    for (const [output, ...more] of [['fused', '--fast'], ['exact']] as const) {
      const { code, stdout, stderr } = await bertlet([...asked, '--output', at(output), ...more], '', { node: node24.path })
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      losses.push(report<{ training_loss: number }>(stdout).training_loss)
    }
    expect(Math.abs(losses[0]! - losses[1]!)).toBeLessThan(1e-4)
    const { arguments: made } = JSON.parse(await readFile(at('fused/checkpoint-3/trainer_state.json'), 'utf8')) as { arguments: object }
    expect(made).toMatchObject({ precision: 'fast' })
    const [fused, exact, start] = [
      await tensors('fused/model.safetensors'),
      await tensors('exact/model.safetensors'),
      await tensors('model/model.safetensors'),
    ]
    const name = 'encoder.layer.0.output.dense.weight'
    const of = (from: typeof fused, as = `bert.${name}`): number[] => [...(from.get(as)!.data as Float32Array)]
    // Its steps have moved the weights, nearly to where exact ones have: far less apart than they have come.
    const apart = (a: number[], b: number[]): number => Math.hypot(...a.map((x, i) => x - b[i]!))
    const way = apart(of(fused), of(start, name))
    expect(way).toBeGreaterThan(0.01)
    expect(apart(of(fused), of(exact))).toBeLessThan(0.05 * way)
    expect(apart(of(fused), of(exact))).toBeGreaterThan(0)
  })
})

describe('bertlet pretrain', () => {
  it('--tokenizer takes a vocabulary, --eval another text, and a resumed run keeps its words', async () => {
    expect(await bertlet(['train-tokenizer', at('corpus.txt'), '--output', at('words'), '--vocab-size', '60'])).toMatchObject({ code: 0 })
    const asked = ['--tokenizer', at('words'), '--eval', at('other.txt'), '--eval-steps', '2', '--json', ...SIZES]
    const first = await pretrain('pre', '--max-steps', '2', ...asked)
    expect(first).toMatchObject({ code: 0, stderr: '' })
    const { vocab_size, metrics, eval_instances } = report<{ vocab_size: number; eval_instances: number }>(first.stdout)
    expect(vocab_size).toBe(60)
    expect(eval_instances).toBeGreaterThan(0)
    // eval_loss is the mean of masked words plus that of pairs, each by itself.
    expect(metrics.loss).toBeGreaterThan(metrics.mlm_loss!)
    expect(await readFile(at('pre/vocab.txt'), 'utf8')).toBe(await readFile(at('words/vocab.txt'), 'utf8'))
    // A vocabulary of the same size and other words.
    await cp(at('words'), at('turned'), { recursive: true })
    const lines = (await readFile(at('words/vocab.txt'), 'utf8')).trim().split('\n')
    await writeFile(at('turned/vocab.txt'), [...lines.slice(0, 5), ...lines.slice(5).reverse()].join('\n'))
    await rm(at('turned/tokenizer.json'))
    const turned = asked.map((arg) => (arg === at('words') ? at('turned') : arg))
    expect(await pretrain('pre', '--max-steps', '2', '--resume', ...turned)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--resume: expected the vocabulary of .*checkpoint-2, got another one, of 60 tokens/) as string,
    })

    const words = ['--model', at('pre'), '--max-steps', '1', '--json']
    const continued = await pretrain('more', ...words)
    expect(continued).toMatchObject({ code: 0 })
    expect(report(continued.stdout)).toMatchObject({ vocab_size: 60 })
    expect(await pretrain('refused', ...words, '--layers', '2')).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--model/) as string,
    })

    // A model that scores words, and judges no pairs.
    const config = JSON.parse(await readFile(at('pre/config.json'), 'utf8')) as object
    await cp(at('pre'), at('masked'), { recursive: true })
    await writeFile(at('masked/config.json'), JSON.stringify({ ...config, architectures: ['BertForMaskedLM'] }))
    const [whole, masked] = await Promise.all(
      ['pre', 'masked'].map(async (name) => {
        const { code, stdout } = await bertlet(['evaluate', at(name), at('other.txt'), '--seq', '32', '--threads', '1', '--json'])
        expect(code).toBe(0)
        return report(stdout).metrics
      }),
    )
    expect(whole).toMatchObject({ mlm_loss: metrics.mlm_loss, nsp_accuracy: metrics.nsp_accuracy })
    expect(masked!.mlm_loss).toBeCloseTo(whole!.mlm_loss!, 5)
    expect(masked!.loss).toBeCloseTo(masked!.mlm_loss!, 5)
    expect(masked).not.toHaveProperty('nsp_accuracy')
  })

  it('--vocab-size with --resume takes the vocabulary of the run, and no other', async () => {
    const asked = ['--vocab-size', '60', '--json', ...SIZES]
    expect(await pretrain('kept', '--max-steps', '4', '--save-steps', '2', '--save-total-limit', '2', ...asked)).toMatchObject({ code: 0 })
    const [words, weights] = await Promise.all(['vocab.txt', 'model.safetensors'].map((name) => readFile(at(`kept/${name}`))))
    await rm(at('kept/checkpoint-4'), { recursive: true })
    await rm(at('kept/model.safetensors'))
    expect(await pretrain('kept', '--max-steps', '4', '--save-steps', '2', '--resume', ...asked)).toMatchObject({ code: 0, stderr: '' })
    expect((await readFile(at('kept/vocab.txt'))).equals(words!)).toBe(true)
    expect((await readFile(at('kept/model.safetensors'))).equals(weights!)).toBe(true)
    expect(await pretrain('kept', '--max-steps', '4', '--resume', '--vocab-size', '59', ...SIZES)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/--vocab-size: expected 60, as .*checkpoint-4 has it, got 59/) as string,
    })
  })
})

it('on a terminal there is a bar, with loss, rate and time left', async () => {
  // script(1) of util-linux is the terminal.
  const args = ['finetune', at('train.tsv'), '--model', at('model'), '--output', at('terminal'), '--max-steps', '40', '--threads', '1']
  const command = [process.execPath, BIN, ...args].map((word) => `'${word}'`).join(' ')
  const { stdout } = await promisify(execFile)('script', ['-qec', command, '/dev/null'], { env: { ...process.env, TERM: 'xterm' } })
  expect(stdout).toMatch(/steps .* \d+ % +(\d+s|\d+m\d+s) left +loss \d\.\d{4} +\d+ tokens\/s/)
  expect(stdout).toMatch(/40 steps, .* mean loss/)
  // Without a terminal there is none.
  expect((await finetune('quiet', '--max-steps', '2')).stderr).toBe('')
})

it('a corpus larger than the heap goes through', async () => {
  const next = random(3)
  const words = Array.from({ length: 400 }, (_, i) => `${'bcdfghklmn'[i % 10]}${'aeiou'[i % 5]}${'prstvwxz'[i % 8]}${i}`)
  const file = createWriteStream(at('large.txt'))
  const heap = 24
  let bytes = 0
  while (bytes < 1.25 * heap * 2 ** 20) {
    // Long lines in documents of four: little is tokenized of each, all of it is read.
    const sentence = (): string => `${Array.from({ length: 10 }, () => words[Math.floor(next() * words.length)]).join(' ')}\n`
    const document = `${sentence()}${sentence()}${sentence()}${sentence()}\n`.repeat(50)
    bytes += document.length
    if (!file.write(document)) await new Promise<void>((resolve) => file.once('drain', resolve))
  }
  await new Promise<void>((resolve) => file.end(() => resolve()))
  const env = { NODE_OPTIONS: `--max-old-space-size=${heap}` }
  const vocabularyOf = ['train-tokenizer', at('large.txt'), '--output', at('large'), '--vocab-size', '300', '--json']
  expect(await bertlet(vocabularyOf, '', { env })).toMatchObject({ code: 0, stderr: '' })
  const args = ['--tokenizer', at('large'), '--output', at('streamed'), '--layers', '1', '--hidden', '16', '--heads', '1']
  const run = ['--seq', '64', '--batch', '2', '--max-steps', '1', '--threads', '0', '--json']
  const { code, stdout, stderr } = await bertlet(['pretrain', at('large.txt'), ...args, ...run], '', { env })
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  // Ids alone would take more than the heap has.
  expect(report<{ tokens: number }>(stdout).tokens * 4).toBeGreaterThan(heap * 2 ** 20)
}, 180_000)
