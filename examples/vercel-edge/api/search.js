// Semantic search over a list: GET /api/search?q=words answers with its entries, nearest first. The model's folder is public/model.
import { pipeline } from 'bertlet'

export const config = { runtime: 'edge' }

const LIST = ['How do I reset my password?', 'Where is my parcel?', 'Can I have my money back?', 'Which cards do you take?']

let ready

/** Loads the model and embeds the list, once per isolate. */
async function load(folder) {
  const embed = await pipeline('feature-extraction', folder)
  const vectors = async (texts) => (await embed(texts, { pooling: 'mean', normalize: true })).tolist()
  return { vectors, entries: await vectors(LIST) }
}

export default async function handler(request) {
  const { searchParams, origin } = new URL(request.url)
  // What failed is tried again by the next request.
  const { vectors, entries } = await (ready ??= load(`${origin}/model`).catch((error) => ((ready = undefined), Promise.reject(error))))
  const [query] = await vectors([searchParams.get('q') ?? ''])
  const found = LIST.map((text, i) => ({ text, score: entries[i].reduce((sum, x, k) => sum + x * query[k], 0) }))
  return Response.json(found.sort((a, b) => b.score - a.score))
}
