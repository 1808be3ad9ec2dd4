// The same weights as an ONNX model: the graph that PyTorch's exporter makes of BertModel (without the pooler, which exports leave out too) or of a
// head; f32, or as onnxruntime's dynamic quantiser leaves it, with a scale for each output channel. Field numbers are those of onnx.proto3.

const FLOAT = 1
const INT8 = 3
const INT64 = 7
const TYPES = new Map([
  [Float32Array, FLOAT],
  [Int8Array, INT8],
  [BigInt64Array, INT64],
])

// A protobuf message is a list of buffers; weights are never copied.
const size = (buffers) => buffers.reduce((sum, buffer) => sum + buffer.length, 0)
function varint(value) {
  const bytes = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128)
  return Buffer.from([...bytes, value])
}
const number = (field, value) => [varint(field * 8), value < 0 ? signed(value) : varint(value)]
const nested = (field, buffers) => [varint(field * 8 + 2), varint(size(buffers)), ...buffers]
const text = (field, value) => nested(field, [Buffer.from(value)])
const raw = (field, array) => nested(field, [Buffer.from(array.buffer, array.byteOffset, array.byteLength)])
/** A negative int64 takes ten bytes. */
function signed(value) {
  const bits = BigInt.asUintN(64, BigInt(value))
  return Buffer.from(Array.from({ length: 10 }, (_, i) => Number((bits >> BigInt(7 * i)) & 127n) | (i < 9 ? 128 : 0)))
}
function float(field, value) {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return [varint(field * 8 + 5), bytes]
}

function attribute(name, value) {
  if (Array.isArray(value)) return [...text(1, name), ...value.flatMap((item) => number(8, item)), ...number(20, 7)]
  if (typeof value === 'object') return [...text(1, name), ...float(2, value.float), ...number(20, 1)]
  return [...text(1, name), ...number(3, value), ...number(20, 2)]
}

class Graph {
  nodes = []
  constants = new Map()

  /** A tensor of the file, of its array's type. */
  constant(name, shape, data) {
    if (!this.constants.has(name)) {
      const type = TYPES.get(data.constructor)
      this.constants.set(name, nested(5, [...shape.flatMap((n) => number(1, n)), ...number(2, type), ...text(8, name), ...raw(9, data)]))
    }
    return name
  }

  ints(...values) {
    return this.constant(`ints_${values.join('_')}`, [values.length], BigInt64Array.from(values, BigInt))
  }

  scalar(value) {
    return this.constant(`scalar_${value}`, [], Float32Array.of(value))
  }

  /** Adds a node, returns the name of its first output; others are called `${name}_1` and so on. */
  node(type, inputs, attributes = {}, output = `${type}_${this.nodes.length}`, outputs = 1) {
    const fields = Object.entries(attributes).flatMap(([name, value]) => nested(5, attribute(name, value)))
    this.nodes.push(
      nested(1, [
        ...inputs.flatMap((name) => text(1, name)),
        ...Array.from({ length: outputs }, (_, i) => text(2, i === 0 ? output : `${output}_${i}`)).flat(),
        ...text(3, `node_${output}`),
        ...text(4, type),
        ...fields,
      ]),
    )
    return output
  }
}

/** [out, in] to [in, out]: ONNX multiplies x W. */
function transpose({ shape: [out, width], data }) {
  const result = new Float32Array(data.length)
  for (let o = 0; o < out; o++) for (let i = 0; i < width; i++) result[i * out + o] = data[o * width + i]
  return result
}

/** Symmetric int8 of [in, out] with a scale for each column. */
function quantise(data, columns) {
  const scales = new Float32Array(columns)
  data.forEach((x, i) => (scales[i % columns] = Math.max(scales[i % columns], Math.abs(x) / 127)))
  return { scales, values: Int8Array.from(data, (x, i) => Math.round(x / (scales[i % columns] || 1))) }
}

function value(field, name, type, dims) {
  const shape = dims.flatMap((dim) => nested(1, typeof dim === 'string' ? text(2, dim) : number(1, dim)))
  return nested(field, [...text(1, name), ...nested(2, nested(1, [...number(1, type), ...nested(2, shape)]))])
}

/** What heads make of the last hidden state: nodes, whose outputs have the names of transformers. Gives their shapes. */
const HEADS = {
  BertModel: (_, { hidden }) => ({ last_hidden_state: ['batch', 'length', hidden] }),
  BertForSequenceClassification(x, { op, dense, at, labels }) {
    const pooled = op('Tanh', [dense(at(x, 0, 1), 'pooler.dense')])
    dense(pooled, 'classifier', 'logits')
    return { logits: ['batch', labels] }
  },
  BertForTokenClassification(x, { dense, labels }) {
    dense(x, 'classifier', 'logits')
    return { logits: ['batch', 'length', labels] }
  },
  BertForQuestionAnswering(x, { dense, at }) {
    const both = dense(x, 'qa_outputs')
    at(both, 0, -1, 'start_logits')
    at(both, 1, -1, 'end_logits')
    return { start_logits: ['batch', 'length'], end_logits: ['batch', 'length'] }
  },
  BertForMaskedLM(x, { op, dense, gelu, norm, product, weight, vocabulary }) {
    const transformed = norm(gelu(dense(x, 'cls.predictions.transform.dense')), 'cls.predictions.transform.LayerNorm')
    op('Add', [product(transformed, 'embeddings.word_embeddings.weight'), weight('cls.predictions.bias')], {}, 'logits')
    return { logits: ['batch', 'length', vocabulary] }
  },
}

/**
 * The buffers of an ONNX file: int64 input_ids, attention_mask, token_type_ids [batch, length] to last_hidden_state [batch, length, hidden], or to what
 * a head has for it: an architecture's name, whose tensors are among the weights. hidden_act is gelu.
 */
export function bertOnnx(config, weights, { int8 = false, head = 'BertModel' } = {}) {
  const graph = new Graph()
  const { hidden_size: hidden, num_attention_heads: heads, num_hidden_layers: layers } = config
  const op = (type, inputs, attributes, output) => graph.node(type, inputs, attributes, output)
  const weight = (name) => graph.constant(name, weights.get(name).shape, weights.get(name).data)
  const quantised = new Map()
  const product = (x, name) => {
    const {
      shape: [out, width],
    } = weights.get(name)
    const matrix = transpose(weights.get(name))
    if (!int8) return op('MatMul', [x, graph.constant(`${name}_T`, [width, out], matrix)])
    if (!quantised.has(x)) quantised.set(x, graph.node('DynamicQuantizeLinear', [x], {}, undefined, 3))
    const rows = quantised.get(x)
    const { scales, values } = quantise(matrix, out)
    const columns = graph.constant(`${name}_T_quantized`, [width, out], values)
    const zero = graph.constant(`${name}_T_zero_point`, [out], new Int8Array(out))
    const sums = op('Cast', [op('MatMulInteger', [rows, columns, `${rows}_2`, zero])], { to: FLOAT })
    return op('Mul', [sums, op('Mul', [`${rows}_1`, graph.constant(`${name}_T_scale`, [out], scales)])])
  }
  const dense = (x, name, output) => op('Add', [product(x, `${name}.weight`), weight(`${name}.bias`)], {}, output)
  const gelu = (x) => {
    const erf = op('Add', [op('Erf', [op('Div', [x, graph.scalar(Math.SQRT2)])]), graph.scalar(1)])
    return op('Mul', [op('Mul', [x, erf]), graph.scalar(0.5)])
  }
  /** One slice of an axis, which is gone then. */
  const at = (x, index, axis, output) =>
    op('Gather', [x, graph.constant(`int_${index}`, [], BigInt64Array.of(BigInt(index)))], { axis }, output)
  const norm = (x, name, output) =>
    op(
      'LayerNormalization',
      [x, weight(`${name}.weight`), weight(`${name}.bias`)],
      { axis: -1, epsilon: { float: config.layer_norm_eps } },
      output,
    )
  const gather = (name, ids) => op('Gather', [weight(`embeddings.${name}.weight`), ids], { axis: 0 })
  /** Word rows; the quantiser gives their table one scale. */
  const table = (ids) => {
    if (!int8) return gather('word_embeddings', ids)
    const { shape, data } = weights.get('embeddings.word_embeddings.weight')
    const { scales, values } = quantise(data, 1)
    const rows = op('Gather', [graph.constant('embeddings.word_embeddings.weight_quantized', shape, values), ids], { axis: 0 })
    return op('DequantizeLinear', [rows, graph.constant('word_scale', [], scales), graph.constant('word_zero_point', [], new Int8Array(1))])
  }
  const split = (x, perm) => op('Transpose', [op('Reshape', [x, graph.ints(0, 0, heads, hidden / heads)])], { perm })

  // 0 where the mask is 1, the lowest number elsewhere: [batch, 1, 1, length]
  const masked = op('Sub', [graph.scalar(1), op('Cast', ['attention_mask'], { to: FLOAT })])
  const bias = op('Unsqueeze', [op('Mul', [masked, graph.scalar(-3.4028234663852886e38)]), graph.ints(1, 2)])

  const length = op('Shape', ['input_ids'], { start: 1, end: 2 })
  const positions = op('Slice', [weight('embeddings.position_embeddings.weight'), graph.ints(0), length, graph.ints(0)])
  const words = op('Add', [table('input_ids'), gather('token_type_embeddings', 'token_type_ids')])
  let x = norm(op('Add', [words, positions]), 'embeddings.LayerNorm')
  for (let l = 0; l < layers; l++) {
    const layer = `encoder.layer.${l}`
    const query = split(dense(x, `${layer}.attention.self.query`), [0, 2, 1, 3])
    const key = split(dense(x, `${layer}.attention.self.key`), [0, 2, 3, 1])
    const values = split(dense(x, `${layer}.attention.self.value`), [0, 2, 1, 3])
    const scores = op('Div', [op('MatMul', [query, key]), graph.scalar(Math.sqrt(hidden / heads))])
    const context = op('MatMul', [op('Softmax', [op('Add', [scores, bias])], { axis: -1 }), values])
    const merged = op('Reshape', [op('Transpose', [context], { perm: [0, 2, 1, 3] }), graph.ints(0, 0, hidden)])
    x = norm(op('Add', [dense(merged, `${layer}.attention.output.dense`), x]), `${layer}.attention.output.LayerNorm`)
    const inner = gelu(dense(x, `${layer}.intermediate.dense`))
    const last = l === layers - 1 && head === 'BertModel'
    x = norm(op('Add', [dense(inner, `${layer}.output.dense`), x]), `${layer}.output.LayerNorm`, last ? 'last_hidden_state' : undefined)
  }
  const labels = weights.get('classifier.bias')?.shape[0]
  const outputs = HEADS[head](x, { op, dense, gelu, norm, product, weight, at, hidden, labels, vocabulary: config.vocab_size })

  const inputs = ['input_ids', 'attention_mask', 'token_type_ids'].flatMap((name) => value(11, name, INT64, ['batch', 'length']))
  const body = [
    ...graph.nodes.flat(),
    ...text(2, 'bert'),
    ...[...graph.constants.values()].flat(),
    ...inputs,
    ...Object.entries(outputs).flatMap(([name, dims]) => value(12, name, FLOAT, dims)),
  ]
  return [...number(1, 8), ...nested(7, body), ...nested(8, [...text(1, ''), ...number(2, 17)])]
}
