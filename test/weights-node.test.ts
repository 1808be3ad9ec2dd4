// Sources on disk, and the real checkpoint that the repository installs.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BertConfig } from '../src/models/config.ts'
import { pooling, trunkParameters } from '../src/models/parameters.ts'
import { defaultSource, directorySource, openSource, packageSource } from '../src/runtimes/node-files.ts'
import { openWeights, closeWeights } from '../src/weights/checkpoint.ts'
import { loadTensors } from '../src/weights/load.ts'
import { checkpoint } from './support/models.ts'

let root: string
let folder: string
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'bertlet-weights-'))
  folder = path.join(root, 'tiny')
  await mkdir(path.join(folder, '1_Pooling'), { recursive: true })
  for (const [name, bytes] of Object.entries(checkpoint())) await writeFile(path.join(folder, name), bytes)
  await writeFile(path.join(folder, '1_Pooling/config.json'), '{}')
  await writeFile(path.join(root, 'secret.json'), '{}')
  await symlink(path.join(root, 'secret.json'), path.join(folder, 'linked.json'))
})
afterAll(() => rm(root, { recursive: true, force: true }))

describe('a folder', () => {
  it('reads texts, lists files, and knows what is not there', async () => {
    const source = openSource(folder)!
    expect((await source.list!()).sort()).toEqual(['config.json', 'linked.json', 'model.safetensors'])
    expect(JSON.parse((await source.text('config.json'))!)).toMatchObject({ hidden_size: 48 })
    expect(await source.text('1_Pooling/config.json')).toBe('{}')
    expect(await source.text('linked.json')).toBe('{}')
    for (const file of ['nothing.json', 'config.json/x', 'no/folder.json']) {
      expect(await source.text(file)).toBeUndefined()
      expect(await source.open(file)).toBeUndefined()
    }
  })

  it('reads pieces, also straight into shared memory', async () => {
    const expected = checkpoint()['model.safetensors']!
    const reader = (await directorySource(folder).open('model.safetensors'))!
    try {
      expect(reader.size).toBe(expected.length)
      expect(await reader.read(10, 30)).toEqual(expected.slice(10, 30))
      const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
      const into = new Uint8Array(memory.buffer, 64, 20)
      const got = await reader.read(100, 120, into)
      expect(got.buffer).toBe(memory.buffer)
      expect([...into]).toEqual([...expected.slice(100, 120)])
      await expect(reader.read(expected.length - 2, expected.length + 2)).rejects.toThrow(/while it was read/)
    } finally {
      await reader.close()
    }
  })

  it.each(['../secret.json', '1_Pooling/../../secret.json', '/etc/hostname', '..', '', '..\\secret.json'])(
    'refuses the name %j',
    async (file) => {
      const source = directorySource(folder)
      await expect(source.text(file)).rejects.toThrow(/inside the model folder/)
      await expect(source.open(file)).rejects.toThrow(/inside the model folder/)
    },
  )

  it('honours the signal', async () => {
    const signal = AbortSignal.abort()
    await expect(directorySource(folder).text('config.json', { signal })).rejects.toThrow(/abort/i)
    await expect(directorySource(folder).open('model.safetensors', { signal })).rejects.toThrow(/abort/i)
  })

  it('that is a file, or not there, is said so', () => {
    expect(() => openSource(path.join(folder, 'config.json'))).toThrow(/a folder/)
    expect(openSource(path.join(root, 'nowhere'))).toBeUndefined()
  })
})

describe('an npm package', () => {
  it('is found from a folder, with its model beside package.json or in model/', async () => {
    const place = path.join(root, 'app/node_modules')
    for (const [name, at] of [
      ['flat-model', ''],
      ['@scope/deep', 'model'],
    ] as const) {
      await mkdir(path.join(place, name, at), { recursive: true })
      await writeFile(path.join(place, name, at, 'config.json'), `{"name":"${name}"}`)
      const source = packageSource(name, path.join(root, 'app/src'))
      expect(source.name).toBe(name)
      expect(await source.text('config.json')).toBe(`{"name":"${name}"}`)
    }
  })

  it('that is not installed tells how to install it', () => {
    expect(() => packageSource('@lat.md/no-such-model')).toThrow(/npm package @lat\.md\/no-such-model.*npm i @lat\.md\/no-such-model/)
    expect(() => packageSource('../tiny', folder)).toThrow(/not installed/)
  })
})

describe('all-MiniLM-L6-v2, as installed', () => {
  it('has a good header, and streams as one pass over its bytes', async () => {
    const source = defaultSource()
    const config = BertConfig.parse((await source.text('config.json'))!)
    expect(config).toMatchObject({ hidden_size: 384, num_hidden_layers: 6, num_attention_heads: 12, vocab_size: 30522 })
    const files = await openWeights(source)
    const [{ file, header }] = files as [(typeof files)[0]]
    await closeWeights(files)
    expect(file).toBe('model.fp16.safetensors')
    expect(header.tensors.size).toBe(104)
    expect(header.tensors.get('embeddings.word_embeddings.weight')).toMatchObject({ dtype: 'F16', shape: [30522, 384] })

    const wanted = [...trunkParameters(config, { wordTable: 'rows' }), ...pooling(config)]
    let bytes = 0
    let largest = 0
    const rows = new Map<string, number>()
    const report = await loadTensors(source, wanted, {
      rows: (name, dtype, _, count, part) => {
        expect(dtype).toBe('F16')
        rows.set(name, (rows.get(name) ?? 0) + count)
        bytes += part.length
        largest = Math.max(largest, part.length)
      },
    })
    // All F16 elements of the file, counted from its header by a reader of our own in Python.
    expect(bytes).toBe(22_713_216 * 2)
    expect(report).toEqual({ files: [file], bytes, dtypes: ['F16'], unexpected: [], missing: [] })
    expect(largest).toBeLessThanOrEqual(1 << 20)
    expect([...rows.keys()].sort()).toEqual(wanted.map(({ name }) => name).sort())
    for (const { name, shape } of wanted) expect(rows.get(name)).toBe(shape.length === 1 ? 1 : shape[0])
  })
})
