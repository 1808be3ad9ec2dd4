// Every conformance case in browsers: in a page that may share memory with its workers, and in one that may not.
import { describeRuntime, itConforms } from './support/runtimes/conforms.ts'
import { missingBrowser, tellFromPage, type Visit } from './support/runtimes/browsers.ts'
import { withBundle } from './support/runtimes/bundle.ts'

const isolated = { build: 'simd', threads: 2, why: 'as asked' }
const alone = { build: 'simd', threads: 0 }

for (const [title, about, visit] of [
  ['a page of Chromium', isolated, { browser: 'chromium', isolated: true }],
  ['a page of Chromium that is not isolated', alone, { browser: 'chromium', isolated: false }],
  ['a web worker of Chromium', isolated, { browser: 'chromium', isolated: true, place: 'worker' }],
  ['a service worker of Chromium', alone, { browser: 'chromium', isolated: true, place: 'service-worker' }],
  ['a page of Firefox', isolated, { browser: 'firefox', isolated: true }],
  ['a page of WebKit', isolated, { browser: 'webkit', isolated: true }],
] as const satisfies readonly (readonly [string, object, Omit<Visit, 'task'>])[]) {
  describeRuntime(title, missingBrowser(visit.browser), () => {
    itConforms((tell) => withBundle('page-main.ts', {}, (_, folder) => tellFromPage({ ...visit, task: 'suite' }, folder, tell)), about)
  })
}
