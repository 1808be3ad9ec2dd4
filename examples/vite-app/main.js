// Search over a list in the page; public/model is a checkpoint folder.
import { pipeline } from 'bertlet'

const LIST = ['How do I reset my password?', 'Where is my parcel?', 'Can I have my money back?', 'Which cards do you take?']
const similarity = await pipeline('sentence-similarity', new URL('model', document.baseURI))

const query = document.getElementById('query')
async function search() {
  const scores = await similarity(query.value, LIST)
  const found = LIST.map((text, i) => ({ text, score: scores[i] })).sort((a, b) => b.score - a.score)
  const items = found.map(({ text, score }) => Object.assign(document.createElement('li'), { textContent: `${text} ${score.toFixed(3)}` }))
  document.getElementById('found').replaceChildren(...items)
  document.getElementById('state').textContent = 'Ready'
}
query.addEventListener('change', search)
await search()
