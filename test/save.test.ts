// savePretrained() into a folder: whole files or none, and a folder that loads again.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AutoModel, BertConfig, BertForSequenceClassification, BertModel, Tokenizer } from '../src/index.node.ts'
import { directorySink } from '../src/runtimes/node-sink.ts'

let folder: string
beforeEach(async () => void (folder = await mkdtemp(path.join(tmpdir(), 'bertlet-save-'))))
afterEach(() => rm(folder, { recursive: true, force: true }))

const WORDS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a', 'text', '##s', 'hello']
const tokenizer = Tokenizer.fromFiles({ 'vocab.txt': WORDS.join('\n'), 'tokenizer_config.json': '{"model_max_length": 16}' })
const config = BertConfig.preset('bert-tiny', {
  vocab_size: WORDS.length,
  max_position_embeddings: 16,
  id2label: { 0: 'no', 1: 'yes', 2: 'maybe' },
})

describe('a saved folder', () => {
  it('has config, weights and tokenizer, and answers as the model did', async () => {
    const model = new BertForSequenceClassification(config, { seed: 1, threads: 1 })
    const inputs = tokenizer(['a text', 'hello texts'], { padding: true })
    const { logits } = await model(inputs)
    const to = path.join(folder, 'new', 'folder')
    await model.savePretrained(to, { tokenizer })
    await model.dispose()
    expect((await readdir(to)).sort()).toEqual(['config.json', 'model.safetensors', ...Object.keys(tokenizer.files())].sort())

    const again = await Tokenizer.fromPretrained(to)
    expect(again(['a text', 'hello texts'], { padding: true })).toEqual(inputs)
    expect(again.model_max_length).toBe(16)
    const loaded = await AutoModel.fromPretrained(to, { threads: 1 })
    expect(loaded.info()).toMatchObject({ architecture: 'BertForSequenceClassification', initialized: [], unexpected: [] })
    expect(loaded.config.id2label).toEqual({ 0: 'no', 1: 'yes', 2: 'maybe' })
    expect((await loaded(again(['a text', 'hello texts'], { padding: true }))).logits!.data).toEqual(logits.data)
    await loaded.dispose()
  })

  it('keeps the file that was there until the new one is whole', async () => {
    const file = path.join(folder, 'model.safetensors')
    await writeFile(file, 'the old one')
    const broken = (function* (): Generator<Uint8Array> {
      yield new Uint8Array(1000)
      throw new Error('the disk is full')
    })()
    await expect(directorySink(folder).write('model.safetensors', broken)).rejects.toThrow(/the disk is full/)
    expect(await readFile(file, 'utf8')).toBe('the old one')
    expect(await readdir(folder)).toEqual(['model.safetensors'])
    await directorySink(folder).write('model.safetensors', [new TextEncoder().encode('the '), new TextEncoder().encode('new one')])
    expect(await readFile(file, 'utf8')).toBe('the new one')
  })

  it('takes no file out of the folder, and no target that is none', async () => {
    await expect(directorySink(folder).write('../x', [])).rejects.toThrow(/a name inside the model folder, got "\.\.\/x"/)
    const model = new BertModel(config, { seed: 1, threads: 1 })
    await expect(model.savePretrained('')).rejects.toThrow(/savePretrained: expected the path of a folder/)
    await expect(model.savePretrained({} as never)).rejects.toThrow(/an object with write/)
    await model.dispose()
    await expect(model.savePretrained(folder)).rejects.toThrow(/disposed of/)
  })
})
