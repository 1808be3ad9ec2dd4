// Semantic search over a list: GET /?q=words answers with its entries, nearest first. The model's folder is among the Worker's static assets.
import { pipeline } from 'bertlet'

const LIST = ['How do I reset my password?', 'Where is my parcel?', 'Can I have my money back?', 'Which cards do you take?']

let ready

/** Loads the model and embeds the list, once per isolate. */
async function load(assets) {
  const fetch = (url, init) => assets.fetch(url, init)
  const embed = await pipeline('feature-extraction', 'https://assets.local/model', { fetch })
  const vectors = async (texts) => {
    const { data, dims } = await embed(texts, { pooling: 'mean', normalize: true })
    return texts.map((_, i) => data.subarray(i * dims[1], (i + 1) * dims[1]))
  }
  return { vectors, entries: await vectors(LIST) }
}

export default {
  async fetch(request, env) {
    // What failed is tried again by the next request.
    const { vectors, entries } = await (ready ??= load(env.ASSETS).catch((error) => ((ready = undefined), Promise.reject(error))))
    const [query] = await vectors([new URL(request.url).searchParams.get('q') ?? ''])
    const found = LIST.map((text, i) => ({ text, score: entries[i].reduce((sum, x, k) => sum + x * query[k], 0) }))
    return Response.json(found.sort((a, b) => b.score - a.score))
  },
}
