// examples/vite-app built for production by bundlers without any configuration, from the packed package, and opened in Chromium.
import { execFile, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import * as esbuild from 'esbuild'
import * as vite from 'vite'
import { MODEL } from './runtimes/processes.ts'
import { ISOLATED, serve, withPage, type Page } from './runtimes/site.ts'

const run = promisify(execFile)
const root = path.join(import.meta.dirname, '../..')
/** Holds the bundlers that the repository itself has no use for. */
export const FOLDER = path.join(root, 'test/bundlers')
const require = createRequire(path.join(FOLDER, 'index.js'))

/** Builds the application in a folder into its `out`, to be served below a path. */
type Bundle = (app: string, base: string) => Promise<unknown>

const main = (app: string): string => path.join(app, 'main.js')

export const BUNDLERS = {
  vite: (app, base) => vite.build({ root: app, base, logLevel: 'error', build: { outDir: 'out', target: 'es2022' } }),
  esbuild: async (app) => {
    await cp(path.join(app, 'index.html'), path.join(app, 'out/index.html'))
    const options = {
      bundle: true,
      minify: true,
      splitting: true,
      format: 'esm',
      outdir: path.join(app, 'out'),
      logLevel: 'error',
    } as const
    await esbuild.build({ ...options, entryPoints: [main(app)] })
  },
  rollup: async (app) => {
    await cp(path.join(app, 'index.html'), path.join(app, 'out/index.html'))
    const { rollup } = require('rollup')
    const { nodeResolve } = require('@rollup/plugin-node-resolve')
    const made = await rollup({ input: main(app), plugins: [nodeResolve({ browser: true })] })
    await made.write({ dir: path.join(app, 'out') })
    await made.close()
  },
  webpack: async (app) => {
    const html = await readFile(path.join(app, 'index.html'), 'utf8')
    await mkdir(path.join(app, 'out'))
    // Its output is a classic script.
    await writeFile(path.join(app, 'out/index.html'), html.replace('type="module"', 'defer'))
    const webpack = require('webpack')
    const output = { path: path.join(app, 'out') }
    const stats = await promisify(webpack)({ mode: 'production', context: app, entry: './main.js', output })
    // It warns of any entry above 244 KiB, uncompressed.
    if (stats.hasErrors()) throw new Error(stats.toString({ all: false, errors: true }))
  },
} as const satisfies Readonly<Record<string, Bundle>>

export type Bundler = keyof typeof BUNDLERS

const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; img-src data:"

/** Those that put no worker beside their output: a policy that forbids blobs needs the package's own there, as the README says. */
const WITHOUT_WORKER: readonly Bundler[] = ['esbuild', 'rollup']

/** How the application is served. */
export const SERVED = {
  isolated: { headers: ISOLATED, base: '/' },
  'below a path, not isolated': { headers: {}, base: '/app/' },
  'under a strict policy, isolated': { headers: { ...ISOLATED, 'Content-Security-Policy': POLICY }, base: '/app/' },
} as const

/** A folder with node_modules that a person would have after npm install. */
export async function withPacked<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(path.join(tmpdir(), 'bertlet-bundlers-'))
  try {
    const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root })
    const [{ filename }] = JSON.parse(stdout) as [{ filename: string }]
    const installed = path.join(folder, 'node_modules/bertlet')
    await mkdir(installed, { recursive: true })
    await run('tar', ['-xzf', path.join(folder, filename), '--strip-components=1', '-C', installed])
    await symlink(path.join(root, 'node_modules/@lat.md'), path.join(folder, 'node_modules/@lat.md'))
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }
}

/** Puts the model where an application's static files are. */
async function putModel(to: string): Promise<void> {
  await cp(MODEL, to, { recursive: true })
  await rename(path.join(to, 'model.fp16.safetensors'), path.join(to, 'model.safetensors'))
}

/** What a page of the application shows when it is ready, and the threads that it has. */
export interface Shown {
  readonly first: string
  readonly threads: number
  readonly why: string
}

async function shown(page: Page, url: string): Promise<Shown> {
  await page.goto(url)
  await page.waitForSelector('#state:text-is("Ready")', { timeout: 60_000 })
  const [first = ''] = await page.locator('#found li').allTextContents()
  const { count, why } = JSON.parse((await page.getAttribute('body', 'data-threads'))!) as { count: number; why: string }
  return { first, threads: count, why }
}

/** Builds, serves and opens the application. */
export async function tryBundler(folder: string, name: Bundler, how: keyof typeof SERVED): Promise<Shown> {
  const app = path.join(folder, `${name}-${how.replaceAll(/\W+/g, '-')}`)
  await cp(path.join(root, 'examples/vite-app'), app, { recursive: true })
  await writeFile(
    main(app),
    `${await readFile(main(app), 'utf8')}document.body.dataset.threads = JSON.stringify(similarity.model.info().threads)\n`,
  )
  const { headers, base } = SERVED[how]
  await BUNDLERS[name](app, base)
  if (WITHOUT_WORKER.includes(name))
    await cp(path.join(folder, 'node_modules/bertlet/dist/worker.web.js'), path.join(app, 'out/worker.web.js'))
  await putModel(path.join(app, 'out/model'))
  const site = await serve(path.join(app, 'out'), headers, base)
  try {
    return await withPage((page) => shown(page, site.url))
  } finally {
    await site.close()
  }
}

const NEXT = {
  'app/layout.jsx': `export default function Layout({ children }) {
  return <html lang="en"><body>{children}</body></html>
}`,
  'app/page.jsx': `'use client'
import { useEffect, useState } from 'react'
import { pipeline } from 'bertlet'

const LIST = ['How do I reset my password?', 'Where is my parcel?']

export default function Page() {
  const [found, setFound] = useState([])
  useEffect(() => {
    async function search() {
      const similarity = await pipeline('sentence-similarity', new URL('/model', location.href))
      const scores = await similarity('when will it be delivered', LIST)
      document.body.dataset.threads = JSON.stringify(similarity.model.info().threads)
      setFound(LIST.map((text, i) => ({ text, score: scores[i] })).sort((a, b) => b.score - a.score))
    }
    search()
  }, [])
  return <><ol id="found">{found.map(({ text }) => <li key={text}>{text}</li>)}</ol><p id="state">{found.length ? 'Ready' : 'Loading'}</p></>
}`,
  'app/api/search/route.js': `import { pipeline } from 'bertlet'

const similarity = pipeline('sentence-similarity', 'public/model')

export async function GET(request) {
  const scores = await (await similarity)(new URL(request.url).searchParams.get('q'), ['Where is my parcel?', 'How do I reset my password?'])
  return Response.json({ scores, info: (await similarity).model.info() })
}
export const dynamic = 'force-dynamic'`,
  'package.json': '{ "private": true, "type": "module" }',
}

/** A client component and a route handler of Next.js, built and started. */
export async function tryNext(folder: string): Promise<{ page: Shown; route: { scores: number[]; info: { runtime: string } } }> {
  const app = path.join(folder, 'next')
  await mkdir(path.join(app, 'node_modules'), { recursive: true })
  for (const [name, text] of Object.entries(NEXT)) {
    await mkdir(path.dirname(path.join(app, name)), { recursive: true })
    await writeFile(path.join(app, name), text)
  }
  // Next.js follows no links out of the application.
  for (const from of [path.join(folder, 'node_modules'), path.join(FOLDER, 'node_modules')])
    await run('cp', ['-rL', `${from}/.`, path.join(app, 'node_modules')])
  await putModel(path.join(app, 'public/model'))
  const next = path.join(app, 'node_modules/next/dist/bin/next')
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' }
  await run(process.execPath, [next, 'build'], { cwd: app, env, maxBuffer: 1 << 26 })
  const port = 20_000 + (process.pid % 20_000)
  const server = spawn(process.execPath, [next, 'start', '-p', String(port)], { cwd: app, env, stdio: 'ignore' })
  try {
    const url = `http://127.0.0.1:${port}/`
    const answer = async (left: number): Promise<Response> =>
      fetch(`${url}api/search?q=when+will+it+be+delivered`).catch(async (error: unknown) => {
        if (left === 0) throw error
        await sleep(250)
        return answer(left - 1)
      })
    const response = await answer(80)
    if (!response.ok) throw new Error(`the route handler answered ${response.status}: ${await response.text()}`)
    return { route: await response.json(), page: await withPage((page) => shown(page, url)) }
  } finally {
    server.kill()
  }
}
