// Browsers as Debian packages them, each with a fresh profile, opened on a page of a server of the test's own, which the page tells what it found.
import { spawn, type ChildProcess } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { GOLDEN, MODEL } from './processes.ts'
import type { Task, Told } from './suite.ts'

export type BrowserName = 'chromium' | 'firefox' | 'webkit'

const MINIBROWSERS = ['webkit2gtk-4.1', 'webkit2gtk-4.0'].map((name) => `/usr/lib/x86_64-linux-gnu/${name}/MiniBrowser`)
const PLACES: Readonly<Record<BrowserName, readonly string[]>> = {
  chromium: ['/usr/bin/chromium'],
  firefox: ['/usr/bin/firefox-esr'],
  webkit: MINIBROWSERS,
}
const PACKAGES: Readonly<Record<BrowserName, string>> = {
  chromium: 'chromium',
  firefox: 'firefox-esr',
  webkit: 'webkit2gtk-driver and xvfb',
}

/** What to install for a browser that is not here. */
export function missingBrowser(name: BrowserName): string | undefined {
  const found = PLACES[name].some((file) => existsSync(file)) && (name !== 'webkit' || existsSync('/usr/bin/Xvfb'))
  return found ? undefined : `no ${name}: install Debian's ${PACKAGES[name]}`
}

const CHROMIUM = [
  'headless',
  'no-sandbox',
  'disable-gpu',
  'disable-quic',
  'no-first-run',
  'disable-background-networking',
  'disable-component-update',
  'disable-sync',
  'disable-dev-shm-usage',
].map((flag) => `--${flag}`)

const FIREFOX = {
  'app.update.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.aboutwelcome.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,',
  'toolkit.telemetry.enabled': false,
}

/** Opens an address; the returned function closes the browser and all that came with it. */
async function open(name: BrowserName, url: string, onExit: (why: string) => void): Promise<() => Promise<void>> {
  const profile = await mkdtemp(path.join(tmpdir(), 'bertlet-browser-'))
  const file = PLACES[name].find((each) => existsSync(each))!
  const env: NodeJS.ProcessEnv = { ...process.env, HOME: profile, XDG_RUNTIME_DIR: profile }
  const children: ChildProcess[] = []
  // A group of its own: a browser is many processes.
  const start = (program: string, args: readonly string[], stdio: 'ignore' | ['ignore', 'pipe', 'ignore'] = 'ignore'): ChildProcess => {
    const child = spawn(program, args, { env, stdio, detached: true })
    child.once('error', (error) => onExit(String(error)))
    children.push(child)
    return child
  }
  if (name === 'chromium') start(file, [...CHROMIUM, `--user-data-dir=${profile}`, url])
  else if (name === 'firefox') {
    const lines = Object.entries(FIREFOX).map(([key, value]) => `user_pref(${JSON.stringify(key)}, ${JSON.stringify(value)});`)
    await writeFile(path.join(profile, 'user.js'), lines.join('\n'))
    start(file, ['--headless', '--no-remote', '--profile', profile, url])
  } else {
    const screen = start(
      '/usr/bin/Xvfb',
      ['-displayfd', '1', '-nolisten', 'tcp', '-screen', '0', '800x600x24'],
      ['ignore', 'pipe', 'ignore'],
    )
    const display = await new Promise<string>((resolve) => screen.stdout!.once('data', (chunk) => resolve(String(chunk).trim())))
    // WebKitGTK has SharedArrayBuffer only where it is told so.
    Object.assign(env, {
      DISPLAY: `:${display}`,
      JSC_useSharedArrayBuffer: '1',
      WEBKIT_DISABLE_COMPOSITING_MODE: '1',
      WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1',
      LIBGL_ALWAYS_SOFTWARE: '1',
    })
    start(file, [url])
  }
  children.at(-1)!.once('exit', (code, signal) => onExit(`${name} ended with ${code ?? signal}`))
  const kill = (): void => {
    for (const { pid } of children) {
      try {
        process.kill(-pid!, 'SIGKILL')
      } catch {
        // Gone by itself.
      }
    }
  }
  // A run that is stopped leaves no browser behind.
  process.once('exit', kill)
  return async () => {
    process.off('exit', kill)
    kill()
    await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

export interface Visit {
  readonly browser: BrowserName
  /** What the page is served with, beside what makes it isolated. */
  readonly headers?: Readonly<Record<string, string>>
  readonly isolated: boolean
  readonly task: Task
  /** Where the script runs: in the page when absent. */
  readonly place?: 'worker' | 'service-worker'
}

const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }
const PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="/main.js"></script>'

/** Serves the folder of a bundle and a page with its main.js, opens it and hands over what it tells, until it says that this was all. */
export async function tellFromPage(
  { browser, headers = {}, isolated, task, place }: Visit,
  folder: string,
  tell: (told: Told) => void,
): Promise<void> {
  let [settle, fail]: [() => void, (error: Error) => void] = [() => {}, () => {}]
  const ended = new Promise<void>((resolve, reject) => ([settle, fail] = [resolve, reject]))
  const answer = async (url: string, response: ServerResponse): Promise<void> => {
    const type = url === '/' ? 'text/html' : /\.m?js$/.test(url) ? 'text/javascript' : 'application/octet-stream'
    const [, name = '', rest] = /^\/(golden|model)\/(.*)/.exec(url) ?? []
    const file = rest === undefined ? path.join(folder, url) : path.join(name === 'golden' ? GOLDEN : MODEL, rest)
    response.setHeaders(new Headers({ 'Content-Type': type, ...(isolated ? ISOLATED : {}), ...headers }))
    response.end(url === '/' ? PAGE : await readFile(file))
  }
  const server: Server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://localhost')
    if (request.method !== 'POST') {
      return void answer(pathname, response).catch(() => response.writeHead(404).end())
    }
    let body = ''
    request.on('data', (chunk) => (body += String(chunk)))
    request.on('end', () => {
      response.end()
      const told = JSON.parse(body) as Told
      try {
        tell(told)
      } catch (error) {
        fail(error as Error)
      }
      if (told.type === 'end') settle()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const close = await open(browser, `http://127.0.0.1:${port}/?task=${task}${place === undefined ? '' : `&in=${place}`}`, (why) =>
    fail(new Error(why)),
  )
  try {
    await ended
  } finally {
    await close()
    server.closeAllConnections()
    server.close()
  }
}
