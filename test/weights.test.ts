// The safetensors format, and finding, checking and streaming a checkpoint's tensors.
import { describe, expect, it } from 'vitest'
import { BertletError } from '../src/errors.ts'
import { openWeights } from '../src/weights/checkpoint.ts'
import { loadTensors, type FloatDtype, type WeightSink } from '../src/weights/load.ts'
import { fromHuggingFace, matchNames, toHuggingFace } from '../src/weights/names.ts'
import type { ProgressEvent } from '../src/weights/progress.ts'
import { readHeader } from '../src/weights/safetensors.ts'
import { writeSafetensors, type TensorToWrite } from '../src/weights/write-safetensors.ts'
import { memorySource, type ByteReader, type Source } from '../src/weights/source.ts'

const bytesOf = (values: ArrayBufferView): Uint8Array => new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
const join = (parts: Iterable<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat([...parts]))
const write = (tensors: TensorToWrite[]): Uint8Array => join(writeSafetensors(tensors))
const f32 = (name: string, shape: number[], values: number[]): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  data: bytesOf(Float32Array.from(values)),
})

/** A file of any header, true or not, and `data` bytes of zeros behind it. */
function forge(header: unknown, data: number, length?: bigint): Uint8Array {
  const text = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const file = new Uint8Array(8 + text.length + data)
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(text.length), true)
  file.set(text, 8)
  return file
}

const reader = async (file: Uint8Array): Promise<ByteReader> => (await memorySource({ file }).open('file'))!
const header = async (file: Uint8Array) => readHeader(await reader(file), 'm.safetensors')

/**
 * Made by the Python package safetensors 0.8.0 with numpy 2.4.6: save({b: float16 [1, 2, 3], a.weight: float32 arange(6) as [2, 3],
 * ids: int64 [[7, 8]], z: float32 2.5, empty: float32 [0, 4]}, metadata={format: pt}).
 */
const OFFICIAL = Uint8Array.from(
  Buffer.from(
    'SAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJwdCJ9LCJpZHMiOnsiZHR5cGUiOiJJNjQiLCJzaGFwZSI6WzEsMl0sImRhdGFfb2Zmc2V0cyI6WzAsMTZdfSwi' +
      'YS53ZWlnaHQiOnsiZHR5cGUiOiJGMzIiLCJzaGFwZSI6WzIsM10sImRhdGFfb2Zmc2V0cyI6WzE2LDQwXX0sImVtcHR5Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOlswLDRd' +
      'LCJkYXRhX29mZnNldHMiOls0MCw0MF19LCJ6Ijp7ImR0eXBlIjoiRjMyIiwic2hhcGUiOltdLCJkYXRhX29mZnNldHMiOls0MCw0NF19LCJiIjp7ImR0eXBlIjoiRjE2Iiwi' +
      'c2hhcGUiOlszXSwiZGF0YV9vZmZzZXRzIjpbNDQsNTBdfX0gICAgBwAAAAAAAAAIAAAAAAAAAAAAAAAAAIA/AAAAQAAAQEAAAIBAAACgQAAAIEAAPABAAEI=',
    'base64',
  ),
)

describe('safetensors', () => {
  it('reads what the reference wrote', async () => {
    const { tensors, metadata } = await header(OFFICIAL)
    expect(metadata).toEqual({ format: 'pt' })
    expect([...tensors.values()].map(({ name, dtype, shape, start, end }) => [name, dtype, shape, start - 336, end - 336])).toEqual([
      ['ids', 'I64', [1, 2], 0, 16],
      ['a.weight', 'F32', [2, 3], 16, 40],
      ['empty', 'F32', [0, 4], 40, 40],
      ['z', 'F32', [], 40, 44],
      ['b', 'F16', [3], 44, 50],
    ])
  })

  it('writes the same bytes as the reference', () => {
    const b: TensorToWrite = { name: 'b', dtype: 'F16', shape: [3], data: () => bytesOf(Uint16Array.of(0x3c00, 0x4000, 0x4200)) }
    const ids: TensorToWrite = { name: 'ids', dtype: 'I64', shape: [1, 2], data: bytesOf(BigInt64Array.of(7n, 8n)) }
    expect(write([b, f32('z', [], [2.5]), f32('empty', [0, 4], []), f32('a.weight', [2, 3], [0, 1, 2, 3, 4, 5]), ids])).toEqual(OFFICIAL)
  })

  it('writes only what it can read', () => {
    expect(() => write([f32('a', [2], [1])])).toThrow(/tensor "a": expected 8 bytes for F32 \[2\]/)
    expect(() => write([f32('a', [1], [1]), f32('a', [1], [2])])).toThrow(/every name once, got "a"/)
  })

  const tensor = (dtype: unknown, shape: unknown, ...data_offsets: unknown[]): object => ({ dtype, shape, data_offsets })
  const bad: Record<string, [file: Uint8Array, message: RegExp]> = {
    'no bytes': [new Uint8Array(0), /at least 10 bytes, got 0 bytes/],
    'cut in the length': [OFFICIAL.slice(0, 7), /at least 10 bytes, got 7 bytes/],
    'cut in the header': [OFFICIAL.slice(0, 100), /header of 2 to 92 bytes, got 328 in a file of 100.*download/],
    'cut in the data': [OFFICIAL.slice(0, -1), /tensor "b": data_offsets: expected an end of at most 49.*\[44, 50\]/],
    'one byte too many': [join([OFFICIAL, Uint8Array.of(0)]), /expected an end at byte 386, the end of tensor "b", got 387/],
    'a header of 2^64-1 bytes': [forge('{}', 0, 2n ** 64n - 1n), /got 18446744073709551615 in a file of 10/],
    'a header of 1 byte': [forge('{}', 0, 1n), /header of 2 to 2 bytes, got 1/],
    'a header that is no JSON': [forge('{"a', 0), /header: expected JSON/],
    'a header that is no object': [forge('["a"]', 0), /begins with \{/],
    'a pickle': [forge('PK\u0003\u0004', 8), /begins with \{.*Only safetensors/],
    'a header that is no UTF-8': [
      (() => {
        const file = forge('{"ab":1}', 0)
        file[10] = 0xff
        return file
      })(),
      /UTF-8/,
    ],
    'a header of hostile depth': [forge(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 0), /at most 3 levels deep/],
    'metadata that is no text': [forge({ __metadata__: { a: 1 } }, 0), /__metadata__: expected an object of texts/],
    'an entry that is no object': [forge({ a: [1] }, 0), /tensor "a": expected an object with dtype/],
    'an unknown dtype': [forge({ a: tensor('F31', [1], 0, 4) }, 4), /tensor "a": dtype: expected one of F64.*got "F31"/],
    'a dtype from the prototype': [forge({ a: tensor('toString', [1], 0, 4) }, 4), /got "toString"/],
    'a negative size': [forge({ a: tensor('F32', [-1, -1], 0, 4) }, 4), /tensor "a": shape: expected .* got \[-1, -1\]/],
    'a fractional size': [forge({ a: tensor('F32', [0.5, 2], 0, 4) }, 4), /shape: expected .* got \[0.5, 2\]/],
    'a size that is text': [forge({ a: tensor('F32', ['1'], 0, 4) }, 4), /shape: expected .* got \["1"\]/],
    'a shape that is no array': [forge({ a: tensor('F32', 1, 0, 4) }, 4), /shape: expected .* got 1/],
    'a product that overflows': [
      forge({ a: tensor('F32', [2 ** 31, 2 ** 31, 4], 0, 4) }, 4),
      /tensor "a": shape: expected sizes that make whole bytes of F32/,
    ],
    'half bytes': [forge({ a: tensor('F4', [3], 0, 1) }, 1), /tensor "a": shape: expected sizes that make whole bytes of F4, .* got \[3\]/],
    'a shape that does not fit the bytes': [
      forge({ a: tensor('F32', [2], 0, 4) }, 4),
      /tensor "a": data_offsets: expected 8 bytes for F32 \[2\], got 4/,
    ],
    'one offset': [forge({ a: tensor('F32', [1], 0) }, 4), /two whole numbers, 0 or more, got \[0\]/],
    'a negative offset': [forge({ a: tensor('F32', [1], -4, 0) }, 4), /two whole numbers, 0 or more, got \[-4, 0\]/],
    'an unsafe offset': [forge({ a: tensor('F32', [1], 0, 2 ** 60) }, 4), /two whole numbers/],
    'an end before the start': [forge({ a: tensor('F32', [1], 4, 0) }, 4), /an end at or after the start, got \[4, 0\]/],
    'an end behind the file': [forge({ a: tensor('F32', [2], 0, 8) }, 4), /an end of at most 4.* got \[0, 8\]/],
    'an overlap': [
      forge({ a: tensor('F32', [2], 0, 8), b: tensor('F32', [1], 4, 8) }, 8),
      /tensor "b": .*at 8, the end of tensor "a", got an overlap, 4/,
    ],
    'a hole': [
      forge({ a: tensor('F32', [1], 0, 4), b: tensor('F32', [1], 8, 12) }, 12),
      /tensor "b": .*at 4, the end of tensor "a", got a hole, 8/,
    ],
    'a hole at the start': [forge({ a: tensor('F32', [1], 4, 8) }, 8), /the end of the header, got a hole, 4/],
    'bytes behind the tensors': [forge({ a: tensor('F32', [1], 0, 4) }, 8), /the end of tensor "a"/],
    'an empty name': [forge({ '': tensor('F32', [1], 0, 4) }, 4), /a name of printable characters/],
    'a name with a control character': [forge({ 'a\u0000': tensor('F32', [1], 0, 4) }, 4), /a name of printable characters/],
  }
  it.each(Object.entries(bad))('refuses %s', async (_, [file, message]) => {
    const error = await header(file).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(BertletError)
    expect((error as BertletError).message).toMatch(message)
    expect((error as BertletError).code).toBe('invalid_file')
  })

  it('takes __proto__ as a name like any other', async () => {
    const file = forge('{"__proto__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', 4)
    expect([...(await header(file)).tensors.keys()]).toEqual(['__proto__'])
  })
})

describe('names', () => {
  it('go to ours and back', () => {
    expect(fromHuggingFace('bert.encoder.layer.0.output.LayerNorm.gamma')).toBe('encoder.layer.0.output.LayerNorm.weight')
    expect(fromHuggingFace('embeddings.LayerNorm.beta')).toBe('embeddings.LayerNorm.bias')
    expect(fromHuggingFace('cls.predictions.bias')).toBe('cls.predictions.bias')
    expect(fromHuggingFace('model.pooler.dense.bias', 'model.')).toBe('pooler.dense.bias')
    expect(toHuggingFace('pooler.dense.bias', 'bert.')).toBe('bert.pooler.dense.bias')
    expect(toHuggingFace('pooler.dense.bias')).toBe('pooler.dense.bias')
    expect(toHuggingFace('classifier.weight', 'bert.')).toBe('classifier.weight')
  })

  it('tell what is missing and what nobody asked for', () => {
    const names = ['bert.pooler.dense.bias', 'bert.embeddings.position_ids', 'cls.x'].map((name) => ({ name }))
    const { found, missing, unexpected } = matchNames(names, [{ name: 'pooler.dense.bias' }, { name: 'pooler.dense.weight' }])
    expect(found.get('pooler.dense.bias')).toEqual({ name: 'bert.pooler.dense.bias' })
    expect(missing).toEqual(['pooler.dense.weight'])
    expect(unexpected).toEqual(['cls.x'])
  })

  it('that mean the same are refused', () => {
    const names = ['bert.a', 'a'].map((name) => ({ name }))
    expect(() => matchNames(names, [{ name: 'a' }])).toThrow(/one tensor for a, got bert\.a and a, which mean the same/)
  })
})

/** Collects rows, as whole tensors and as calls. */
class Collected implements WeightSink {
  readonly calls: [name: string, dtype: FloatDtype, row0: number, rows: number][] = []
  readonly tensors = new Map<string, number[]>()

  rows(name: string, dtype: FloatDtype, row0: number, rows: number, bytes: Uint8Array): void {
    this.calls.push([name, dtype, row0, rows])
    this.tensors.set(name, [...(this.tensors.get(name) ?? []), ...bytes])
  }
}

const wanted = [
  { name: 'pooler.dense.weight', shape: [2, 3] },
  { name: 'pooler.dense.bias', shape: [2] },
]
const weight = f32('bert.pooler.dense.weight', [2, 3], [1, 2, 3, 4, 5, 6])
const bias: TensorToWrite = { name: 'bert.pooler.dense.bias', dtype: 'BF16', shape: [2], data: Uint8Array.of(1, 2, 3, 4) }
const extra = f32('cls.extra', [1], [9])
const good = write([weight, bias, extra])
const GOOD = new Map([
  ['pooler.dense.weight', [...(weight.data as Uint8Array)]],
  ['pooler.dense.bias', [1, 2, 3, 4]],
])
const index = (weight_map: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify({ metadata: { total_size: 1.5 }, weight_map }))

/** Loads, and says that a failure touched nothing and left no file open. */
async function load(source: Source, sink = new Collected(), options = {}) {
  let open = 0
  const counted: Source = {
    ...source,
    open: async (file, o) => {
      const inner = await source.open(file, o)
      if (inner !== undefined) open++
      return inner && { ...inner, close: () => inner.close().finally(() => open--) }
    },
  }
  try {
    return { report: await loadTensors(counted, wanted, sink, options), sink }
  } finally {
    expect(open).toBe(0)
  }
}

describe('loading', () => {
  it('gives whole rows in the order of the file, and a report', async () => {
    const { report, sink } = await load(memorySource({ 'model.safetensors': good }))
    expect(sink.tensors).toEqual(GOOD)
    expect(sink.calls).toEqual([
      ['pooler.dense.weight', 'F32', 0, 2],
      ['pooler.dense.bias', 'BF16', 0, 1],
    ])
    expect(report).toEqual({ files: ['model.safetensors'], bytes: 28, dtypes: ['F32', 'BF16'], unexpected: ['cls.extra'], missing: [] })
  })

  it.each([
    ['ArrayBuffer', (bytes: Uint8Array) => bytes.slice().buffer],
    ['Blob', (bytes: Uint8Array) => new Blob([bytes.slice()])],
    [
      'view into a larger buffer',
      (bytes: Uint8Array) => join([Uint8Array.of(1, 2, 3), bytes, Uint8Array.of(4)]).subarray(3, 3 + bytes.length),
    ],
  ])('takes a %s', async (_, from) => {
    const { sink } = await load(memorySource({ 'model.safetensors': from(good) }))
    expect(sink.tensors).toEqual(GOOD)
  })

  it('takes the only safetensors file, whatever its name', async () => {
    const { report } = await load(memorySource({ 'config.json': new Uint8Array(), 'model.fp16.safetensors': good }))
    expect(report.files).toEqual(['model.fp16.safetensors'])
  })

  it('takes shards', async () => {
    const files = {
      'model.safetensors.index.json': index({ [weight.name]: 's-2.safetensors', [bias.name]: 's-1.safetensors' }),
      's-1.safetensors': write([bias]),
      's-2.safetensors': write([weight, extra]),
    }
    const { report, sink } = await load(memorySource(files))
    expect(sink.tensors).toEqual(GOOD)
    expect(report.files).toEqual(['s-1.safetensors', 's-2.safetensors'])
    expect(report.unexpected).toEqual(['cls.extra'])
  })

  const map = { [weight.name]: 's.safetensors', [bias.name]: 's.safetensors' }
  const INDEX = 'model.safetensors.index.json'
  const wide = f32(weight.name, [3, 2], [1, 2, 3, 4, 5, 6])
  const ints: TensorToWrite = { ...weight, dtype: 'I32' }
  const bad: Record<string, [files: Record<string, Uint8Array>, code: string, message: RegExp]> = {
    'no weights': [{ 'config.json': index({}) }, 'not_found', /tiny: expected a weights file model.safetensors, found only config.json/],
    'nothing at all': [{}, 'not_found', /found none.*config.json, model.safetensors/],
    'only a pickle': [{ 'pytorch_model.bin': new Uint8Array(9) }, 'unsupported', /found only pytorch_model.bin.*save_pretrained/],
    'two candidates': [{ 'a.safetensors': good, 'b.safetensors': good }, 'invalid_file', /a.safetensors, b.safetensors.*Rename/],
    'a cut file': [
      { 'model.safetensors': good.slice(0, -3) },
      'invalid_file',
      /model.safetensors: tensor "bert.pooler.dense.bias": data_offsets/,
    ],
    'a missing tensor': [{ 'model.safetensors': write([weight]) }, 'invalid_file', /expected 2 tensors, 1 missing: pooler.dense.bias/],
    "a shape that is not the config's": [
      { 'model.safetensors': write([wide, bias]) },
      'invalid_file',
      /tensor bert.pooler.dense.weight: expected shape \[2, 3\], as config.json says, got \[3, 2\]/,
    ],
    'another rank': [
      { 'model.safetensors': write([f32(weight.name, [6], [1, 2, 3, 4, 5, 6]), bias]) },
      'invalid_file',
      /expected shape \[2, 3\].*got \[6\]/,
    ],
    'a dtype that is no float': [
      { 'model.safetensors': write([ints, bias]) },
      'invalid_file',
      /dense.weight: expected dtype F32, F16 or BF16, got I32/,
    ],
    'one tensor under two names': [
      { 'model.safetensors': write([weight, bias, { ...bias, name: 'pooler.dense.bias' }]) },
      'invalid_file',
      /one tensor for pooler.dense.bias/,
    ],
    'an index that is no JSON': [{ [INDEX]: Uint8Array.of(0x7b) }, 'invalid_file', /index.json: expected JSON/],
    'an index without a map': [{ [INDEX]: new TextEncoder().encode('{}') }, 'invalid_file', /weight_map: expected an object/],
    'an index that climbs out': [
      { [INDEX]: index({ a: '../s.safetensors' }) },
      'invalid_file',
      /tensor "a": expected a plain file name.*got "\.\.\/s/,
    ],
    'an index with a backslash': [{ [INDEX]: index({ a: '..\\s.safetensors' }) }, 'invalid_file', /expected a plain file name/],
    'an index of hostile depth': [
      { [INDEX]: new TextEncoder().encode(`{"weight_map":${'['.repeat(9e4)}${']'.repeat(9e4)}}`) },
      'invalid_file',
      /levels deep/,
    ],
    'an absent shard': [
      { [INDEX]: index({ ...map, [bias.name]: 't.safetensors' }), 's.safetensors': write([weight]) },
      'not_found',
      /the 2 shards.* found no t.safetensors/,
    ],
    'a shard without its tensor': [
      { [INDEX]: index(map), 's.safetensors': write([weight]) },
      'invalid_file',
      /s.safetensors: expected tensor "bert.pooler.dense.bias", as .* says/,
    ],
    'a cut shard': [
      {
        [INDEX]: index({ ...map, [bias.name]: 't.safetensors' }),
        's.safetensors': write([weight]),
        't.safetensors': write([bias]).slice(0, -1),
      },
      'invalid_file',
      /t.safetensors: tensor "bert.pooler.dense.bias"/,
    ],
  }
  it.each(Object.entries(bad))('refuses %s, and nothing is placed', async (_, [files, code, message]) => {
    const sink = new Collected()
    const error = await load(memorySource(files, 'tiny'), sink).catch((e: unknown) => e)
    expect(error).toBeInstanceOf(BertletError)
    expect((error as BertletError).message).toMatch(message)
    expect((error as BertletError).code).toBe(code)
    expect(sink.calls).toEqual([])
  })

  it('lists ten missing tensors and counts the rest', async () => {
    const many = Array.from({ length: 13 }, (_, i) => ({ name: `t${i}`, shape: [1] }))
    const loading = loadTensors(memorySource({ 'model.safetensors': good }), many, new Collected())
    await expect(loading).rejects.toThrow(/13 missing: t0, .*t9 and 3 more/)
  })
})

describe('streaming', () => {
  const K = 1000
  const N = 1500 // 6 MB: several windows
  const big = Uint8Array.from({ length: N * K * 4 }, (_, i) => (i * 31 + (i >> 12)) & 255)
  const tensors = [
    { name: 'a.odd', dtype: 'F16', shape: [3], data: Uint8Array.of(1, 2, 3, 4, 5, 6) },
    { name: 'b.big', dtype: 'F32', shape: [N, K], data: big },
    { name: 'c.vector', dtype: 'BF16', shape: [2], data: Uint8Array.of(7, 8, 9, 10) },
  ] as const
  const file = write([...tensors])
  const want = tensors.map(({ name, shape }) => ({ name, shape }))
  const source = memorySource({ 'model.safetensors': file })

  it('cuts at whole rows, reads into the staging memory, and tells how far it is', async () => {
    const events: ProgressEvent[] = []
    const got = new Uint8Array(big.length)
    const staged: Uint8Array[] = []
    let next = 0
    const sink: WeightSink = {
      staging: (bytes) => (staged.push(new Uint8Array(new SharedArrayBuffer(bytes + 16), 16)), staged[0]!),
      rows: (name, _, row0, rows, bytes) => {
        expect(bytes.buffer).toBe(staged[0]!.buffer)
        expect((bytes.byteOffset - staged[0]!.byteOffset) % 4).toBe(0)
        if (name !== 'b.big') return
        expect(row0).toBe(next)
        expect(bytes.length).toBe(rows * K * 4)
        got.set(bytes, row0 * K * 4)
        next += rows
      },
    }
    await loadTensors(source, want, sink, { progress: (event) => events.push(event) })
    expect(next).toBe(N)
    expect(Buffer.compare(got, big)).toBe(0)
    expect(staged).toHaveLength(1)
    expect(staged[0]!.length).toBeLessThanOrEqual(2 << 20)
    const steps = events.filter((event) => event.status === 'progress')
    expect(steps.length).toBeGreaterThan(5)
    expect(steps.map(({ loaded }) => loaded)).toEqual(steps.map(({ loaded }) => loaded).sort((a, b) => a - b))
    const known = { name: 'memory', file: 'model.safetensors' }
    expect(steps.at(-1)).toEqual({ status: 'progress', ...known, progress: 100, loaded: file.length, total: file.length })
    expect(events.filter((event) => event.status !== 'progress')).toEqual(
      ['initiate', 'download', 'done'].map((status) => ({ status, ...known })),
    )
  })

  it('reads what has its place straight there, whole groups of eight rows at a time, and the rest through the window', async () => {
    const place = new Uint8Array(big.length)
    const seen: [row0: number, rows: number][] = []
    const others: string[] = []
    await loadTensors(source, want, {
      direct: {
        takes: (name, dtype) => name === 'b.big' && dtype === 'F32',
        place: (name, start, bytes) => (expect(name).toBe('b.big'), place.subarray(start, start + bytes)),
      },
      rows: (name, _, row0, rows, bytes) => {
        if (name !== 'b.big') return void others.push(name)
        expect(bytes.buffer).toBe(place.buffer)
        expect(bytes.byteOffset).toBe(row0 * K * 4)
        expect(bytes.length).toBe(rows * K * 4)
        seen.push([row0, rows])
      },
    })
    expect(Buffer.compare(place, big)).toBe(0)
    expect(seen.reduce((next, [row0, rows]) => (expect(row0).toBe(next), next + rows), 0)).toBe(N)
    expect(seen.length).toBeGreaterThan(1)
    for (const [row0] of seen) expect(row0 % 8).toBe(0)
    expect(new Set([...others, 'b.big'])).toEqual(new Set(want.map(({ name }) => name)))
  })

  it('reads the next window while one is converted, and no more than that', async () => {
    const log: string[] = []
    const slow: Source = {
      ...source,
      open: async (name) => {
        const inner = (await source.open(name))!
        let reads = 0
        return {
          ...inner,
          read: async (start, end, into) => {
            if (into !== undefined) log.push(`read ${reads++}`)
            return inner.read(start, end, into)
          },
        }
      },
    }
    let windows = 0
    await loadTensors(slow, want, { rows: (name) => void (name === 'b.big' && log.push(`rows ${windows++}`)) })
    expect(log.slice(0, 6)).toEqual(['read 0', 'read 1', 'rows 0', 'read 2', 'rows 1', 'read 3'])
  })

  it('ends at the signal, before and in the middle', async () => {
    await expect(loadTensors(source, want, new Collected(), { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i)
    const controller = new AbortController()
    let calls = 0
    const sink: WeightSink = { rows: () => void (++calls === 2 && controller.abort(new Error('enough'))) }
    await expect(loadTensors(source, want, sink, { signal: controller.signal })).rejects.toThrow('enough')
    expect(calls).toBeLessThan(5)
  })

  it('lets go of the memory only when no read is under way', async () => {
    let reading = 0
    const slow: Source = {
      ...source,
      open: async (name) => {
        const inner = (await source.open(name))!
        return {
          ...inner,
          read: async (start, end, into) => {
            reading++
            await new Promise((resolve) => setTimeout(resolve, 2))
            reading--
            return inner.read(start, end, into)
          },
        }
      },
    }
    const sink: WeightSink = {
      rows: () => {
        throw new Error('full')
      },
    }
    await expect(loadTensors(slow, want, sink)).rejects.toThrow('full')
    expect(reading).toBe(0)
  })

  it('fails with the error of a read', async () => {
    const broken: Source = {
      ...source,
      open: async (name) => {
        const inner = (await source.open(name))!
        return { ...inner, read: async (s, e, into) => (s > 3e6 ? Promise.reject(new Error('disk')) : inner.read(s, e, into)) }
      },
    }
    await expect(loadTensors(broken, want, new Collected())).rejects.toThrow('disk')
  })
})

describe('openWeights', () => {
  it('prefers model.safetensors to an index and to other files', async () => {
    const files = { 'model.safetensors': good, 'model.safetensors.index.json': index({}), 'other.safetensors': good }
    expect((await openWeights(memorySource(files))).map(({ file }) => file)).toEqual(['model.safetensors'])
  })
})
