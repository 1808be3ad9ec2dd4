// bertlet/ai-sdk and bertlet/langchain with the libraries themselves, as npm has them (test/integrations).
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { build, ROOT } from './support/command.ts'
import { install } from './support/install.ts'
import { checkpoint, vocabulary } from './support/models.ts'

const run = promisify(execFile)
const INSTALLED = path.join(import.meta.dirname, 'integrations')
let folder: string

// The package as it is published, beside the libraries.
beforeAll(async () => {
  await Promise.all([build(), install(INSTALLED)])
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-integrations-'))
  const modules = path.join(folder, 'node_modules')
  await mkdir(path.join(modules, 'bertlet'), { recursive: true })
  await cp(path.join(ROOT, 'package.json'), path.join(modules, 'bertlet/package.json'))
  await cp(path.join(ROOT, 'dist'), path.join(modules, 'bertlet/dist'), { recursive: true, filter: (file) => !/\.(map|d\.ts)$/.test(file) })
  // The types of these sources: a quick build makes none.
  const tsc = [path.join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', path.join(ROOT, 'tsconfig.types.json')]
  await run(process.execPath, [...tsc, '--outDir', path.join(modules, 'bertlet/dist/types')])
  for (const name of ['ai', 'ai6', '@ai-sdk', '@langchain'])
    await symlink(path.join(INSTALLED, 'node_modules', name), path.join(modules, name))
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ private: true, type: 'module' }))
  const model = path.join(folder, 'model')
  const prompts = { prompts: { query: 'query: ', document: 'text: ' } }
  const files = {
    ...{ ...checkpoint(), 'vocab.txt': vocabulary() },
    ...{ 'modules.json': JSON.stringify([{ type: 'sentence_transformers.models.Transformer', path: '' }]) },
    ...{ 'config_sentence_transformers.json': JSON.stringify(prompts) },
  }
  await mkdir(model)
  for (const [name, bytes] of Object.entries(files)) await writeFile(path.join(model, name), bytes)
}, 400_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

async function result(source: string): Promise<Record<string, unknown>> {
  const file = path.join(folder, 'main.mjs')
  await writeFile(
    file,
    `import { pipeline } from 'bertlet'\nconst embed = await pipeline('feature-extraction', './model', { threads: 1 })\n${source}`,
  )
  const { stdout } = await run(process.execPath, [file], { cwd: folder })
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, unknown>
}

describe.each(['ai', 'ai6'])('the AI SDK, %s', (library) => {
  it('embeds one and many, with usage, options and aborts', async () => {
    const found = await result(`
import { embed as embedOne, embedMany, cosineSimilarity } from '${library}'
import { embeddingModel } from 'bertlet/ai-sdk'
const model = embeddingModel(embed)
const values = ['the cat', 'the text', 'a']
const many = await embedMany({ model, values })
const one = await embedOne({ model, value: 'the text' })
const short = await embedOne({ model, value: 'the text', providerOptions: { bertlet: { truncate_dim: 8 } } })
const asked = await embedOne({ model: embeddingModel(Promise.resolve(embed), { prompt_name: 'query' }), value: 'the text' })
const want = (await embed(values, { pooling: 'auto', normalize: true })).tolist()
const prompted = (await embed(['the text'], { pooling: 'auto', normalize: true, prompt_name: 'query' })).tolist()[0]
const stop = AbortSignal.abort()
const aborted = await embedMany({ model, values, abortSignal: stop, maxRetries: 0 }).then(() => 'no', (e) => e.name)
const wrong = await embedOne({ model, value: 'a', maxRetries: 0, providerOptions: { bertlet: { poling: 'cls' } } }).then(() => 'no', (e) => e.message)
const again = await embedOne({ model, value: 'the text' })
const refused = (() => { try { embeddingModel('x') } catch (e) { return e.message } })()
console.log(JSON.stringify({ many: many.embeddings, one: one.embedding, again: again.embedding, short: short.embedding.length, want, prompted, asked: asked.embedding,
  tokens: many.usage.tokens, warnings: one.warnings ?? [], self: cosineSimilarity(one.embedding, many.embeddings[1]), aborted, wrong, refused }))
await embed.dispose()`)
    const want = found.want as number[][]
    expect(found.many).toEqual(want)
    expect([found.one, found.again]).toEqual([want[1], want[1]])
    expect(found.asked).toEqual(found.prompted)
    expect(found.asked).not.toEqual(found.one)
    // [CLS], [SEP] and the words.
    expect(found).toMatchObject({ short: 8, tokens: 4 + 4 + 3, warnings: [], self: expect.closeTo(1, 6) as number, aborted: 'AbortError' })
    expect(found.wrong).toMatch(/Did you mean "pooling"/)
    expect(found.refused).toMatch(/expected a pipeline/)
  })
})

describe('LangChain.js', () => {
  it('takes Embeddings, for a store of its own', async () => {
    const found = await result(`
import { Embeddings } from '@langchain/core/embeddings'
import { BertletEmbeddings } from 'bertlet/langchain'
const embeddings = new BertletEmbeddings(embed)
const texts = ['the cat', 'the text', 'a']
const with_ = async (name, list) => (await embed(list, { pooling: 'auto', normalize: true, prompt_name: name })).tolist()
const plain = new BertletEmbeddings(Promise.resolve(embed), { prompt: '', truncate_dim: 4, maxConcurrency: 1 })
console.log(JSON.stringify({
  is: embeddings instanceof Embeddings,
  documents: await embeddings.embedDocuments(texts), query: await embeddings.embedQuery('the cat'), none: await embeddings.embedDocuments([]),
  wantDocuments: await with_('document', texts), wantQuery: (await with_('query', ['the cat']))[0],
  plain: await plain.embedQuery('the cat'),
  wantPlain: (await embed(['the cat'], { pooling: 'auto', normalize: true, truncate_dim: 4 })).tolist()[0],
  failed: await embeddings.embedQuery(3).then(() => 'no', (e) => e.message),
}))
await embed.dispose()`)
    expect(found).toMatchObject({ is: true, none: [] })
    expect(found.documents).toEqual(found.wantDocuments)
    expect(found.query).toEqual(found.wantQuery)
    expect(found.plain).toEqual(found.wantPlain)
    expect(found.failed).toMatch(/expected a text/)
  })
})

it('both compile against the types of the libraries', async () => {
  await writeFile(
    path.join(folder, 'use.ts'),
    `import { pipeline } from 'bertlet'
import { embed, type EmbeddingModel } from 'ai'
import { embed as embed6, type EmbeddingModel as EmbeddingModel6 } from 'ai6'
import type { EmbeddingsInterface } from '@langchain/core/embeddings'
import { embeddingModel } from 'bertlet/ai-sdk'
import { BertletEmbeddings } from 'bertlet/langchain'
export const model: EmbeddingModel = embeddingModel(pipeline('feature-extraction'))
export const vector: Promise<{ embedding: number[] }> = embed({ model, value: 'a' })
export const model6: EmbeddingModel6 = embeddingModel(pipeline('feature-extraction'))
export const vector6: Promise<{ embedding: number[] }> = embed6({ model: model6, value: 'a' })
export const embeddings: EmbeddingsInterface = new BertletEmbeddings(await pipeline('feature-extraction'), { maxRetries: 1 })
`,
  )
  const options =
    '--noEmit --strict --skipLibCheck --target es2022 --module nodenext --lib es2022,esnext.disposable,dom,dom.iterable use.ts'
  const tsc = path.join(ROOT, 'node_modules/typescript/bin/tsc')
  await run(process.execPath, [tsc, ...options.split(' ')], { cwd: folder }).catch((error: { stdout: string }) => expect.fail(error.stdout))
  const text = await readFile(path.join(folder, 'node_modules/bertlet/dist/ai-sdk.js'), 'utf8')
  expect(text).not.toMatch(/\bfrom\s*"/) // it needs no library at all
}, 120_000)
