// finetune, evaluate and pretrain as programs meet them: the built command in child processes, on generated data that can be learnt.
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { AutoModel, Tokenizer } from '../src/index.node.ts'
import { FileSpool } from '../src/runtimes/node-spool.ts'
import { bertlet, build, ended, jsonl, start } from './support/command.ts'
import { checkpoint, vocabulary } from './support/models.ts'

let folder: string
const at = (name: string): string => path.join(folder, name)
beforeAll(async () => {
  await build()
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-finetune-'))
  await mkdir(at('model'))
  for (const [name, bytes] of Object.entries({ ...checkpoint({ num_hidden_layers: 1 }), 'vocab.txt': vocabulary() }))
    await writeFile(at(`model/${name}`), bytes)
  const line = (i: number): string => `${i % 2 === 0 ? 'the cat' : 'a text'} ${i % 9}\t${i % 2 === 0 ? 'cat' : 'other'}`
  await writeFile(at('train.tsv'), Array.from({ length: 40 }, (_, i) => line(i)).join('\n'))
  await writeFile(at('dev.tsv'), Array.from({ length: 12 }, (_, i) => `${line(i + 1)}\r\n`).join(''))
  const documents = Array.from({ length: 20 }, (_, d) =>
    Array.from({ length: 5 }, (__, k) => `the ${['cat', 'text', 'dog'][(d + k) % 3]} number ${d} of a b c .\n`).join(''),
  )
  await writeFile(at('corpus.txt'), documents.join('\n'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const FINETUNE = ['--num-train-epochs', '4', '--per-device-train-batch-size', '8', '--learning-rate', '2e-3', '--threads', '1']
const finetune = (output: string, ...more: string[]) =>
  bertlet(['finetune', at('train.tsv'), '--eval', at('dev.tsv'), '--model', at('model'), '--output', at(output), ...FINETUNE, ...more])

describe('FileSpool', () => {
  it('gives back what it took, and leaves no name behind', async () => {
    const spool = new FileSpool(folder)
    expect((await readdir(folder)).filter((name) => name.includes('spool'))).toEqual([])
    const parts = [3, 1 << 20, 5, (1 << 20) + 7].map((length, i) => new Uint8Array(length).fill(i + 1))
    let size = 0
    for (const part of parts) {
      spool.append(part)
      expect(spool.read(size, size + part.length)).toEqual(part)
      size += part.length
    }
    expect([...spool.read(2, 4)]).toEqual([1, 2])
    spool.close()
    spool.close()
  })
})

describe('bertlet finetune', () => {
  it('learns what can be learnt, and evaluate finds the same', async () => {
    const { code, stdout, stderr } = await finetune('out', '--json')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const report = JSON.parse(stdout) as { metrics: Record<string, number> }
    expect(report).toMatchObject({ examples: 40, eval_examples: 12, labels: ['cat', 'other'], global_step: 20, epoch: 4 })
    expect(report.metrics).toMatchObject({ accuracy: 1, f1: 1, matthews_correlation: 1 })
    const model = await AutoModel.fromPretrained(at('out'), { threads: 0 })
    expect(model.config).toMatchObject({ id2label: { 0: 'cat', 1: 'other' }, problem_type: 'single_label_classification' })
    await model.dispose()
    expect((await Tokenizer.fromPretrained(at('out'))).vocab_size).toBe((await Tokenizer.fromPretrained(at('model'))).vocab_size)

    const file = at('predictions.jsonl')
    const evaluated = await bertlet(['evaluate', at('out'), at('dev.tsv'), '--json', '--predictions', file, '--threads', '1'])
    expect(evaluated).toMatchObject({ code: 0, stderr: '' })
    const { metrics } = JSON.parse(evaluated.stdout) as typeof report
    const quiet = await bertlet(['evaluate', at('out'), at('dev.tsv'), '--output', at('metrics.json'), '--threads', '1'])
    expect(quiet).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const { metrics: kept } = JSON.parse(await readFile(at('metrics.json'), 'utf8')) as typeof report
    expect(metrics).toMatchObject(Object.fromEntries(Object.entries(kept).filter(([name]) => !/runtime|second/.test(name))))
    expect(metrics).toMatchObject({ accuracy: 1, loss: report.metrics.loss })
    const rows = jsonl<{ label: string; prediction: string }>(await readFile(file, 'utf8'))
    expect(rows.map(({ prediction }) => prediction)).toEqual(rows.map(({ label }) => label))
  })

  it('learns scores', async () => {
    await writeFile(
      at('scores.csv'),
      `text,score\n${Array.from({ length: 40 }, (_, i) => `${'the cat '.repeat(1 + (i % 4))},${(i % 4) / 2}`).join('\n')}`,
    )
    const args = [
      'finetune',
      at('scores.csv'),
      '--eval',
      at('scores.csv'),
      '--regression',
      '--model',
      at('model'),
      '--output',
      at('scores'),
    ]
    const { code, stdout } = await bertlet([...args, ...FINETUNE, '--json'])
    expect(code).toBe(0)
    const { metrics } = JSON.parse(stdout) as { metrics: Record<string, number> }
    expect(metrics.spearman).toBeGreaterThan(0.8)
    expect(metrics.mse).toBeCloseTo(metrics.loss!, 5)
  })

  it.each([
    [['--learning-rate', 'fast'], 2, /--learning-rate <rate>.*'fast' is invalid/],
    [['--learning-rate', '1000'], 2, /learning_rate: expected a number above 0 and at most 10, got 1000/],
    [['--lr-scheduler-type', 'cosin'], 2, /Allowed choices are linear, cosine/],
    [['--num-train-epoch', '1'], 2, /unknown option '--num-train-epoch'[^]*Did you mean --num-train-epochs\?/],
    [['--labels', 'dog,other'], 1, /train\.tsv, line 1: label: expected one of the classes "dog", "other", got "cat"/],
    [['--regression'], 1, /train\.tsv, line 1: label: expected a number, got "cat"/],
    [['--text', '9'], 1, /train\.tsv, line 1: expected column 9/],
  ])('%j ends with %i', async (args, code, message) => {
    const result = await finetune('refused', ...args)
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) as string })
    expect(existsSync(at('refused'))).toBe(false)
  })

  it('saves and ends with 130 at ctrl-C, and --resume comes to the bits of a run that was left alone', async () => {
    const output = at('interrupted')
    const args = (folder: string): string[] => [
      'finetune',
      at('train.tsv'),
      '--model',
      at('model'),
      '--output',
      folder,
      '--threads',
      '1',
      '--max-steps',
      '300',
      '--logging-steps',
      '1',
    ]
    const child = start(args(output))
    while (!existsSync(path.join(output, 'log.jsonl'))) await setTimeout(20)
    child.kill('SIGINT')
    const result = await ended(child)
    expect(result).toMatchObject({ code: 130, stderr: expect.stringMatching(/interrupted after step \d+.*--resume goes on/) as string })
    const step = Number(/after step (\d+)/.exec(result.stderr)![1])
    expect(existsSync(path.join(output, `checkpoint-${step}`, 'model.safetensors'))).toBe(true)
    expect(existsSync(path.join(output, 'model.safetensors'))).toBe(false)
    expect(await bertlet([...args(output), '--resume'])).toMatchObject({ code: 0 })
    expect(await bertlet(args(at('alone')))).toMatchObject({ code: 0 })
    const [a, b] = await Promise.all([output, at('alone')].map((folder) => readFile(path.join(folder, 'model.safetensors'))))
    expect(a!.equals(b!)).toBe(true)
  })
})

describe('bertlet pretrain', () => {
  const SIZES = ['--layers', '1', '--hidden', '32', '--heads', '2', '--seq', '32', '--threads', '1']

  it('makes vocabulary and model from raw text, and evaluate measures the same held-out text', async () => {
    const args = [
      'pretrain',
      at('corpus.txt'),
      '--vocab-size',
      '60',
      '--output',
      at('pre'),
      '--hold-out',
      '10',
      '--max-steps',
      '3',
      '--json',
    ]
    const { code, stdout, stderr } = await bertlet([...args, ...SIZES])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const report = JSON.parse(stdout) as { metrics: Record<string, number> }
    expect(report).toMatchObject({ documents: 18, global_step: 3, vocab_size: 60 })
    const { mlm_loss, nsp_accuracy, nsp_standard_error, pairs, unigram_entropy } = report.metrics
    // Fresh weights know nothing: about ln 60.
    expect(Math.abs(mlm_loss! - Math.log(60))).toBeLessThan(0.5)
    expect(nsp_standard_error).toBeCloseTo(Math.sqrt((nsp_accuracy! * (1 - nsp_accuracy!)) / pairs!), 12)
    expect(unigram_entropy).toBeLessThan(mlm_loss!)
    const evaluated = await bertlet([
      'evaluate',
      at('pre'),
      at('corpus.txt'),
      '--hold-out',
      '10',
      '--seq',
      '32',
      '--threads',
      '1',
      '--json',
    ])
    const { metrics } = JSON.parse(evaluated.stdout) as typeof report
    expect(metrics).toMatchObject({ mlm_loss, nsp_accuracy, unigram_entropy })
  })

  it.each([
    [
      'a\n\nb\n\nc',
      ['--vocab-size', '60'],
      1,
      /expected documents of two sentences or more, got 3 of one\. Write one sentence a line, or pass --sentences split/,
    ],
    ['a\nb\nc', ['--vocab-size', '60'], 1, /expected 2 documents or more.*got 1\..*--document-break/],
    ['\n\n', ['--vocab-size', '60'], 1, /expected text to learn from, got only empty lines/],
    ['a b\nb c\n\na c\nb a', ['--vocab-size', '9000'], 2, /vocab_size: expected at most \d+/],
    ['a\nb', [], 2, /expected one of --tokenizer, --vocab-size and --model, got none/],
    ['a\nb', ['--vocab-size', '9', '--document-break', '['], 2, /--document-break.*regular expression/],
  ] as const)('%j %j ends with %i', async (text, args, code, message) => {
    await writeFile(at('bad.txt'), text)
    const result = await bertlet(['pretrain', at('bad.txt'), '--output', at('bad'), ...SIZES, ...args])
    expect(result).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) as string })
  })
})

it.each(['finetune', 'evaluate', 'pretrain'])('%s tells its help', async (command) => {
  expect(await bertlet([command, '--help'])).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/--hold-out|--learning-rate[^]*default: 0\.00005[^]*--json[^]*Exit codes/) as string,
  })
})

describe('bertlet finetune with little', () => {
  it('--adapter lora leaves an adapter as PEFT has it, and with --merge the whole model', async () => {
    const kind = [
      '--adapter',
      'lora',
      '--lora-r',
      '4',
      '--target-modules',
      'query,value',
      '--merge',
      '--learning-rate',
      '1e-2',
      '--num-train-epochs',
      '8',
    ]
    const { code, stdout, stderr } = await finetune('adapted', '--json', ...kind)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { metrics } = JSON.parse(stdout) as { metrics: Record<string, number> }
    expect(metrics.accuracy).toBe(1)
    const config = JSON.parse(await readFile(at('adapted/adapter_config.json'), 'utf8')) as Record<string, unknown>
    expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 16, target_modules: ['query', 'value'] })
    expect(existsSync(at('adapted/adapter_model.safetensors'))).toBe(true)
    const evaluated = await bertlet(['evaluate', at('adapted/merged'), at('dev.tsv'), '--json', '--threads', '1'])
    expect(evaluated).toMatchObject({ code: 0, stderr: '' })
    const merged = (JSON.parse(evaluated.stdout) as { metrics: Record<string, number> }).metrics
    expect(merged.accuracy).toBe(1)
    // W + scale B A is rounded once more.
    expect(Math.abs(merged.loss! - metrics.loss!)).toBeLessThan(1e-5)
  })

  it('evaluate and classify put an adapter on its base: the metrics of the training, to the bit, and the names of its classes', async () => {
    const on = (command: string, ...more: string[]) => bertlet([command, ...more, '--json', '--threads', '1'])
    const measured = async (adapter: string): Promise<Record<string, number>> => {
      const { code, stdout, stderr } = await on('evaluate', at('model'), at('dev.tsv'), '--adapter', adapter)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      return (JSON.parse(stdout) as { metrics: Record<string, number> }).metrics
    }
    const kind = ['--adapter', 'lora', '--learning-rate', '1e-2', '--num-train-epochs', '8']
    const { metrics } = JSON.parse((await finetune('adapter-alone', '--json', ...kind)).stdout) as { metrics: Record<string, number> }
    expect((await measured(at('adapter-alone'))).loss).toBe(metrics.loss)
    const { stdout } = await on('classify', 'the cat 3', '--model', at('model'), '--adapter', at('adapter-alone'))
    expect(stdout).toContain('"label":"cat"')

    const few = await bertlet([
      'finetune',
      at('train.tsv'),
      '--model',
      at('model'),
      '--few-shot',
      '--output',
      at('few-adapter'),
      '--threads',
      '1',
    ])
    expect(few).toMatchObject({ code: 0, stdout: expect.stringMatching(/its head alone in .*adapter\n/) as string })
    const whole = JSON.parse((await on('evaluate', at('few-adapter'), at('dev.tsv'))).stdout) as { metrics: Record<string, number> }
    expect((await measured(at('few-adapter/adapter'))).loss).toBe(whole.metrics.loss)

    for (const [args, code, message] of [
      [
        ['rte', at('model'), at('dev.tsv'), '--adapter', at('model')],
        2,
        /expected a BertForSequenceClassification, as rte wants, got "BertModel"/,
      ],
      [
        ['question-answering', at('model'), at('dev.tsv'), '--adapter', at('adapter-alone')],
        2,
        /expected a BertForQuestionAnswering, .* got "BertForSeq/,
      ],
      [[at('adapter-alone'), at('dev.tsv')], 1, /It holds an adapter: give the model that it was trained on, and this as adapter/],
      [[at('model'), at('dev.tsv'), '--adapter', at('nowhere')], 1, /nowhere/],
    ] as const)
      expect(await on('evaluate', ...args)).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(message) as string })
  })

  it('--few-shot solves a head, and classify and evaluate take the folder', async () => {
    const args = ['finetune', at('train.tsv'), '--eval', at('dev.tsv'), '--model', at('model'), '--few-shot', '--threads', '1']
    const { code, stdout, stderr } = await bertlet([...args, '--output', at('few'), '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      examples: 40,
      eval_examples: 12,
      labels: ['cat', 'other'],
      train_accuracy: 1,
      metrics: { accuracy: 1 },
    })
    const [row] = jsonl<unknown>((await bertlet(['classify', 'the cat 3', '--model', at('few'), '--json'])).stdout)
    expect(JSON.stringify(row)).toContain('"label":"cat"')
    const told = await bertlet([...args, '--output', at('few-told')])
    expect(told.stdout).toMatch(/40 examples of cat, other, 100\.0 % of them told right\n[^]*accuracy +1\n[^]*the model is in/)
  })

  it('--contrastive tunes the trunk first and draws its steps; ctrl-C leaves no model', async () => {
    const args = ['finetune', at('train.tsv'), '--model', at('model'), '--few-shot', '--contrastive', '--threads', '1']
    const { code, stdout, stderr } = await bertlet([...args, '--output', at('tuned')])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/100\.0 % of them told right\nthe model is in .*tuned\n/)
    // 820 pairs, the 400 of two classes oversampled to the 420 of one, in batches of 16.
    const log = jsonl<{ step: number; loss: number }>(await readFile(at('tuned/log.jsonl'), 'utf8'))
    expect(log.map(({ step }) => step)).toEqual(Array.from({ length: 53 }, (_, i) => i + 1))
    expect(log.at(-1)!.loss).toBeLessThan(log[0]!.loss)
    expect(await readFile(at('tuned/training.svg'), 'utf8')).toMatch(/^<svg/)

    const stopped = start([...args, '--output', at('stopped')])
    const end = ended(stopped)
    await setTimeout(600)
    stopped.kill('SIGINT')
    expect((await end).code).toBe(130)
    expect(existsSync(at('stopped/model.safetensors'))).toBe(false)
  })

  it('says where texts come twice with several labels', async () => {
    await writeFile(at('twice.tsv'), 'the cat\t1\na\t0\nthe cat\t0\n')
    const { stderr } = await bertlet(['finetune', at('twice.tsv'), '--model', at('model'), '--few-shot', '--output', at('twice')])
    expect(stderr).toMatch(/warning: .*twice\.tsv, line 3 has the text of .*twice\.tsv, line 1, with another label\n$/)
  })

  it('does not mix with what another kind of training left', async () => {
    const refused = async (output: string, ...more: string[]) => {
      const args = ['finetune', at('train.tsv'), '--model', at('model'), '--output', at(output), '--threads', '1']
      return (await bertlet([...args, ...more])).stderr
    }
    expect(await refused('few', '--adapter', 'lora')).toMatch(/--output: expected a folder without .*, got one with model\.safetensors/)
    expect(await refused('few')).toMatch(/--output: expected a folder without .*, got one with adapter\b/)
    expect(await refused('adapter-alone', '--few-shot')).toMatch(/got one with adapter_config\.json. Take another folder/)
    // Again the same way is well.
    expect(await refused('few', '--few-shot')).toBe('')
  })

  it('says which go together', async () => {
    const refused = async (...more: string[]) =>
      (await bertlet(['finetune', at('train.tsv'), '--model', at('model'), '--output', at('none'), ...more])).stderr
    expect(await refused('--few-shot', '--head-only')).toMatch(
      /one of --head-only, --bias-only, --adapter, --few-shot, got --head-only and --few-shot/,
    )
    expect(await refused('--contrastive')).toMatch(/--contrastive: expected --few-shot/)
    expect(await refused('--merge')).toMatch(/--merge: expected --adapter lora/)
    expect(await refused('--few-shot', '--regression')).toMatch(/--few-shot: expected text-classification with classes, got scores/)
    expect(await refused('--lora-r', '4')).toMatch(/--lora-r: expected --adapter lora, got none/)
    expect(await refused('--adapter', 'lora', '--lora-alpha', '0')).toMatch(/--lora-alpha: expected a number above 0, got 0/)
    expect(await refused('--few-shot', '--resume')).toMatch(/--resume: expected training by steps, got --few-shot/)
    expect(await refused('--few-shot', '--learning-rate', '1')).toMatch(/--learning-rate: expected training by steps, got --few-shot/)
    expect(await refused('--adapter', 'lora', '--target-modules', 'querry')).toMatch(/querry.*query/s)
  })
})
