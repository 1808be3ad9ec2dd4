// What is measured: rows of bertlet against a peer, with the goal for the ratio of times. `node` is the major version both sides run on.
const MINILM = { model: 'minilm', batch: 1, length: 128, threads: 1, node: 20 }
const EXACT = { dtype: 'f32', precision: 'exact' }
const FAST = { dtype: 'f32', precision: 'fast' }
const INT8 = { dtype: 'int8' }
const WEB = { peer: 'ort-web', peerDtype: 'f32' }
const WEB_INT8 = { peer: 'ort-web', peerDtype: 'int8' }
const NATIVE = { peer: 'ort-node', peerDtype: 'f32' }

const shapes = (row, list) => list.map(([batch, length]) => ({ ...row, batch, length }))
const threads = (rows) => rows.flatMap((row) => [1, 2].map((threads) => ({ ...row, threads })))
const ALL = [
  [1, 16],
  [1, 128],
  [8, 128],
  [1, 512],
  [32, 32],
]
const TWO = [
  [1, 128],
  [8, 128],
]

/** The cells of the table of goals. */
export const DEFAULT = [
  ...threads(shapes({ ...MINILM, ...EXACT, ...WEB, goal: 0.7 }, ALL)).map((row) =>
    row.batch === 8 && row.threads === 1 ? { ...row, goal: 0.75 } : row,
  ),
  ...shapes({ ...MINILM, ...EXACT, ...WEB, node: 24, goal: 0.78 }, TWO),
  ...shapes({ ...MINILM, ...FAST, ...WEB, node: 24, goal: 0.58 }, TWO),
  ...shapes({ ...MINILM, ...INT8, ...WEB_INT8, goal: 0.75 }, TWO),
  ...threads(shapes({ ...MINILM, ...INT8, ...WEB_INT8, node: 24, goal: 0.33 }, TWO)),
  ...shapes({ ...MINILM, ...INT8, ...NATIVE, node: 24, goal: 1 }, TWO),
  ...[
    { ...EXACT, ...WEB, goal: 0.7 },
    { ...EXACT, ...WEB, node: 24, goal: 0.78 },
    { ...FAST, ...WEB, node: 24, goal: 0.58 },
    { ...INT8, ...WEB_INT8, goal: 0.75 },
    { ...INT8, ...WEB_INT8, node: 24, goal: 0.33 },
    { ...INT8, ...NATIVE, node: 24, goal: 1 },
  ].map((row) => ({ ...MINILM, model: 'base', ...row })),
]

/** What V8's own widening of SIMD to 256 bits is worth: bertlet with the flag against bertlet without. */
export const REVECTORIZED = shapes(
  { ...MINILM, ...EXACT, node: 24, flags: ['--experimental-wasm-revectorize'], peer: 'bertlet', peerDtype: 'f32' },
  TWO,
)

/** Every shape, thread count and peer on both versions. */
export const FULL = [
  ...DEFAULT,
  ...REVECTORIZED,
  ...[20, 24].flatMap((node) =>
    ['minilm', 'base'].flatMap((model) =>
      threads(
        shapes({ ...MINILM, model, node }, ALL).flatMap((row) => [
          { ...row, ...EXACT, ...WEB },
          { ...row, ...INT8, ...WEB_INT8 },
          { ...row, ...EXACT, ...NATIVE },
          { ...row, ...INT8, peer: 'ort-node', peerDtype: 'int8' },
          ...(node === 24 ? [{ ...row, ...FAST, ...WEB }] : []),
          ...(node === 20 ? [{ ...row, ...EXACT, peer: 'transformers', peerDtype: 'f32' }] : []),
          ...(node === 20 && model === 'minilm' && row.threads === 1 ? [{ ...row, ...EXACT, peer: 'tfjs', peerDtype: 'f32' }] : []),
        ]),
      ),
    ),
  ),
]

export const COLD = [
  { ...EXACT, peer: 'ort-web', peerDtype: 'f32', goal: 0.25, memoryGoal: 0.4 },
  { ...INT8, peer: 'ort-web', peerDtype: 'int8', goal: 0.25, memoryGoal: 0.4 },
  // From a file in 8 bits on both sides; above, ours quantises while it loads.
  { ...INT8, quantized: true, peer: 'ort-web', peerDtype: 'int8', goal: 0.25, memoryGoal: 0.4 },
  { ...EXACT, peer: 'ort-node', peerDtype: 'f32', goal: 1 },
  { ...INT8, peer: 'ort-node', peerDtype: 'int8', goal: 1 },
].map((row) => ({ ...MINILM, length: 16, ...row }))

/** Real sentences in batches of 64, sorted by their length or as they come. */
export const SENTENCES = [
  { order: 'sorted', goal: 0.68 },
  { order: 'as given', goal: 0.45 },
].map((row) => ({ ...MINILM, ...EXACT, ...WEB, batch: 64, ...row }))

export const nameOf = ({ model, node, threads, dtype, precision, quantized, flags, peer, peerDtype, batch, length, order }) =>
  [
    model,
    `Node ${node}`,
    `${threads} thread${threads > 1 ? 's' : ''}`,
    order === undefined ? `${batch}x${length}` : `sentences ${order}`,
    precision === 'fast' ? `${dtype} fast` : quantized ? `${dtype} file` : dtype,
    ...(flags ? ['revectorized'] : []),
    'against',
    peer,
    peerDtype,
  ].join(' ')
