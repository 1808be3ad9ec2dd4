// Search over a list in the page. Once loaded, it works with no server: sw.js answers with what it kept.
await navigator.serviceWorker.register('sw.js')
// What is loaded from here on goes through it.
if (!navigator.serviceWorker.controller) await new Promise((done) => navigator.serviceWorker.addEventListener('controllerchange', done))

const LIST = ['How do I reset my password?', 'Where is my parcel?', 'Can I have my money back?', 'Which cards do you take?']
const { pipeline } = await import('bertlet')
const similarity = await pipeline('sentence-similarity', new URL('model', location.href))

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
