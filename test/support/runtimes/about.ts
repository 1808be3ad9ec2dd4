// What a model says of the runtime that it runs in.
import { BertModel } from '../../../src/index.ts'
import { memorySource } from '../../../src/weights/source.ts'
import { checkpoint, rectangle, sequences } from '../models.ts'

/** name, build, threads and why, after a call for two threads. */
export async function aboutRuntime(): Promise<Record<string, unknown>> {
  const model = await BertModel.fromPretrained(memorySource(checkpoint(), 'tiny'), { threads: 2 })
  try {
    await model(rectangle(sequences(2)))
    const { runtime, build, threads } = model.info()
    return { runtime, build: build.name, threads: threads.count, why: threads.why }
  } finally {
    await model.dispose()
  }
}
