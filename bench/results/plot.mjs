// npm run plot:pretraining -- FOLDER [FILE] : the curves of measure:pretraining, whose output FOLDER is, as SVG; docs/pretraining.svg by default.
import { execFile } from 'node:child_process'
import { access, readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'

const here = import.meta.dirname
const [folder, file = path.join(here, '../../docs/pretraining.svg')] = process.argv.slice(2)
if (folder === undefined) {
  process.stderr.write('usage: npm run plot:pretraining -- FOLDER [FILE]\n  FOLDER: what measure:pretraining wrote\n')
  process.exit(2)
}
await access(path.join(here, 'node_modules/vega')).catch(async () => {
  process.stderr.write('installing vega (once)\n')
  await promisify(execFile)('npm', ['ci', '--prefix', here, '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: here })
})
const [vega, { compile }] = await Promise.all([import('vega'), import('vega-lite')])

const names = (await readdir(folder)).filter((name) => /^seed-\d+\.jsonl$/.test(name)).sort()
const texts = await Promise.all(names.map((name) => readFile(path.join(folder, name), 'utf8')))
const lines = texts.flatMap((text) => text.trim().split('\n').map((line) => JSON.parse(line))) // prettier-ignore
const points = lines.map(({ seed, tokens, mlm_loss, nsp_accuracy }) => ({
  seed: `seed ${seed}`,
  tokens,
  mlm_loss,
  nsp: 100 * nsp_accuracy,
}))
const [{ entropy, unigram }] = lines

const curve = (field, title, rules) => ({
  width: 340,
  height: 240,
  layer: [
    {
      data: { values: points },
      mark: { type: 'line', point: true },
      encoding: {
        x: { field: 'tokens', type: 'quantitative', title: 'tokens trained on', axis: { format: '~s' } },
        y: { field, type: 'quantitative', title, scale: { zero: false } },
        color: { field: 'seed', type: 'nominal', title: null },
      },
    },
    {
      data: { values: rules },
      mark: { type: 'rule', strokeDash: [4, 3], color: '#666' },
      encoding: { y: { field: 'at', type: 'quantitative', title } },
    },
    {
      data: { values: rules },
      mark: { type: 'text', align: 'right', dx: -4, dy: -6, color: '#444' },
      encoding: { y: { field: 'at', type: 'quantitative', title }, x: { value: 340 }, text: { field: 'name' } },
    },
  ],
})
const { spec } = compile({
  background: 'white',
  hconcat: [
    curve('mlm_loss', 'held-out loss of masked words, nats', [
      { at: unigram, name: 'unigram' },
      { at: entropy, name: 'entropy' },
      { at: entropy - 0.3, name: '0.3 below' },
    ]),
    curve('nsp', 'held-out accuracy of next sentence, %', [{ at: 50, name: 'chance' }]),
  ],
})
await writeFile(file, `${await new vega.View(vega.parse(spec), { renderer: 'none' }).toSVG()}\n`)
process.stdout.write(`${file}\n`)
