// A model in an isolate at the edge, and one call of 1x128: what `npm run measure:workerd` weighs. The files are streamed from a service.
import { BertModel } from '../../../src/index.edge.ts'

let model: BertModel | undefined

export default {
  async fetch(_: Request, { MODEL }: { MODEL: { fetch(url: string, init?: RequestInit): Promise<Response> } }): Promise<Response> {
    model ??= await BertModel.fromPretrained('http://files/', { fetch: (url, init) => MODEL.fetch(url, init) })
    await model({ input_ids: [Array.from({ length: 128 }, (_, i) => 1000 + i)] })
    const { bytes, dtype, build } = model.info()
    return Response.json({ ...bytes, dtype: dtype.name, build: build.name })
  },
}
