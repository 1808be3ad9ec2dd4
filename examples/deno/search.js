// Semantic search over lines of a file: deno run --allow-read --allow-env --allow-sys --allow-net search.js questions.txt "where is my parcel"
import { pipeline } from 'bertlet'

const [file, query, model] = Deno.args
const lines = (await Deno.readTextFile(file)).split('\n').filter((line) => line !== '')

const similarity = await pipeline('sentence-similarity', model)
const scores = await similarity(query, lines)
await similarity.dispose()

const found = lines.map((line, i) => ({ line, score: scores[i] })).sort((a, b) => b.score - a.score)
for (const { line, score } of found.slice(0, 3)) console.log(score.toFixed(3), line)
