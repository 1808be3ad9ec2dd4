// A folder served to pages, and Chromium to look at them with.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { createRequire } from 'node:module'
import path from 'node:path'
import { FOLDER } from './installed.ts'

export const ISOLATED = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' }

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.json': 'application/json',
  '.css': 'text/css',
}

export interface Site {
  /** Ends in a slash. */
  readonly url: string
  close(): Promise<void>
}

/** Serves a folder below a path, with headers on everything. */
export async function serve(folder: string, headers: Readonly<Record<string, string>> = {}, base = '/'): Promise<Site> {
  const server = createServer((request, response) => {
    const name = decodeURIComponent(new URL(request.url!, 'http://site').pathname)
    const file = path.join(folder, name.slice(base.length).replace(/^$|\/$/, '/index.html'))
    const sent = name.startsWith(base) ? readFile(file) : Promise.reject(new Error('outside of the site'))
    sent.then(
      (bytes) =>
        response
          .writeHead(200, {
            'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream',
            'Content-Length': bytes.length,
            ...headers,
          })
          .end(bytes),
      () => response.writeHead(404, headers).end(),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}${base}`,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The part of playwright-core that is used here. */
export interface Page {
  goto(url: string): Promise<unknown>
  reload(): Promise<unknown>
  evaluate<T>(work: string): Promise<T>
  /** Of the same profile. */
  context(): {
    newPage(): Promise<Page>
    browser(): {
      newBrowserCDPSession(): Promise<{
        send(method: 'SystemInfo.getProcessInfo'): Promise<{ processInfo: { type: string; id: number }[] }>
      }>
    }
  }
  /** Selectors need no eval, which a strict policy forbids. */
  waitForSelector(selector: string, options?: { timeout: number }): Promise<unknown>
  getAttribute(selector: string, name: string): Promise<string | null>
  locator(selector: string): { allTextContents(): Promise<string[]> }
  on(event: 'console', listener: (message: { type(): string; text(): string }) => void): void
  on(event: 'pageerror', listener: (error: Error) => void): void
}

/** A fresh profile and an empty tab of it, for the time of some work. What goes wrong in the page is told when the work fails. */
export async function withPage<T>(work: (page: Page) => Promise<T>): Promise<T> {
  const { chromium } = createRequire(path.join(FOLDER, 'index.js'))('playwright-core') as {
    chromium: { launch(options: object): Promise<{ newContext(): Promise<{ newPage(): Promise<Page> }>; close(): Promise<void> }> }
  }
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  const said: string[] = []
  try {
    const page = await (await browser.newContext()).newPage()
    page.on('console', (message) => said.push(`${message.type()}: ${message.text()}`))
    page.on('pageerror', (error) => said.push(String(error)))
    return await work(page)
  } catch (error) {
    throw new Error(`${String(error)}\nThe page said: ${said.join('\n') || 'nothing'}`, { cause: error })
  } finally {
    await browser.close()
  }
}
