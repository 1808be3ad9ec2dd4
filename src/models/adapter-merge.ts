// Base and adapter added up: matrices of their own, so that nobody else on the base sees them and nothing has to be taken back.
import { BertletError, expected } from '../errors.ts'
import type { Adapter } from './adapters.ts'
import type { AdapterLayout } from './bert.ts'
import { Loaded, type PlacedSpec } from './load.ts'

let nextMerge = 1

/** Holds W + scale B A of every adapted layer; the names by layer. Each sum is made in float64 and rounded once. */
function addUp({ engine, specs }: Loaded, { parts, place }: Adapter): Map<string, string> {
  const { store } = engine
  const before = `merged${nextMerge++}/`
  const names = new Map<string, string>()
  for (const { module, n, k, r, scale } of parts.branches) {
    const weight = `${module}.weight`
    const values = store.read(specs.find(({ name }) => name === weight)!.held)
    const [a, b] = ['A', 'B'].map((letter) => store.read(`${place}${module}.lora_${letter}.weight`)) as [Float32Array, Float32Array]
    const row = new Float64Array(k)
    for (let i = 0; i < n; i++) {
      row.fill(0)
      for (let j = 0; j < r; j++) {
        const by = b[i * r + j]!
        for (let c = 0; c < k; c++) row[c]! += by * a[j * k + c]!
      }
      for (let c = 0; c < k; c++) values[i * k + c]! += scale * row[c]!
    }
    const held = `${before}${weight}`
    store.hold({ name: held, shape: [n, k], layout: 'panel' })
    names.set(weight, held)
    store.write(held, values)
  }
  return names
}

function adapterOf({ adapter, trunk: { dtype = 'f32' } }: Loaded, what: string): Adapter {
  if (adapter === undefined) throw expected(what, 'a model with an adapter', 'none', 'withAdapter() gives one')
  if (dtype === 'f32') return adapter
  throw new BertletError(
    'unsupported',
    `${what}: expected a base in f32, got ${dtype}`,
    'Load the base in f32, merge, save, and quantise that',
  )
}

/** No low-rank branch, and `names` in place of the base's. */
const added = (names: ReadonlyMap<string, string>, { instead }: AdapterLayout): AdapterLayout => ({
  lora: () => undefined,
  instead: (name) => names.get(name) ?? instead(name),
})

export async function merge(loaded: Loaded): Promise<void> {
  loaded.assertLive()
  const adapter = adapterOf(loaded, 'merge')
  await loaded.engine.exclusively(async () => {
    if (adapter.merged !== undefined) return
    const names = addUp(loaded, adapter)
    adapter.merged = [...names.values()]
    apart.set(adapter, loaded.trunk.adapter!)
    loaded.trunk = { ...loaded.trunk, adapter: added(names, loaded.trunk.adapter!) }
  })
}

/** How merged adapters lay before. */
const apart = new WeakMap<Adapter, AdapterLayout>()

export async function unmerge(loaded: Loaded): Promise<void> {
  loaded.assertLive()
  const adapter = adapterOf(loaded, 'unmerge')
  await loaded.engine.exclusively(async () => {
    if (adapter.merged === undefined) return
    // Plans name the sums' addresses.
    loaded.engine.forget(`${loaded.id}|`)
    for (const name of adapter.merged) loaded.engine.store.drop(name)
    adapter.merged = undefined
    loaded.trunk = { ...loaded.trunk, adapter: apart.get(adapter) }
  })
}

/** A model without an adapter, of what a merged one computes with. */
export async function mergedModel(loaded: Loaded): Promise<Loaded> {
  loaded.assertLive()
  const adapter = adapterOf(loaded, 'mergeAndUnload')
  await unmerge(loaded)
  return loaded.engine.exclusively(async () => {
    const engine = loaded.engine.retain()
    const { store } = engine
    const names = addUp(loaded, adapter)
    const branch = /\.lora_[AB]\.weight$/
    const specs = loaded.specs
      .filter(({ name }) => !branch.test(name))
      .map((spec): PlacedSpec => {
        const held = names.get(spec.name)
        if (held === undefined) store.hold(store.get(spec.held))
        return { ...spec, held: held ?? spec.held }
      })
    const { name, head, config, trunk, place, poolerPlace, threadsWhy, dtypeWhy, attention, budget } = loaded
    const common = {
      name,
      head,
      config,
      engine,
      place,
      poolerPlace,
      threadsWhy,
      dtypeWhy,
      attention,
      budget,
      unexpected: [],
      initialized: [],
    }
    return new Loaded({
      ...common,
      specs: specs.sort(byParameters(adapter.base)),
      trunk: { ...trunk, adapter: added(names, trunk.adapter!) },
    })
  })
}

/** In the order of the base. */
function byParameters({ specs }: Loaded): (a: PlacedSpec, b: PlacedSpec) => number {
  const places = new Map(specs.map(({ name }, i) => [name, i]))
  return (a, b) => places.get(a.name)! - places.get(b.name)!
}
