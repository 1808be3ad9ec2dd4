// Lines of a file that say the same in other words: bun duplicates.js questions.txt
import { pipeline } from 'bertlet'

const [file = 'questions.txt', model] = Bun.argv.slice(2)
const lines = (await Bun.file(file).text()).split('\n').filter((line) => line !== '')

const embed = await pipeline('feature-extraction', model)
const vectors = await embed(lines, { pooling: 'mean', normalize: true })
await embed.dispose()

const rows = vectors.tolist()
const cosine = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0)
for (let i = 0; i < rows.length; i++) {
  for (let j = 0; j < i; j++) {
    const score = cosine(rows[i], rows[j])
    if (score > 0.5) console.log(score.toFixed(3), '|', lines[j], '|', lines[i])
  }
}
