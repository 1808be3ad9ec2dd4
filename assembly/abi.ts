// What host and kernels agree on: op codes, record fields, slots, modes. Const enums only; compiled by asc and by TypeScript alike.

/**
 * A plan is a table of slots, then records of fixed size:
 *
 *     plan -> | slot 0 | slot 1 | ... | slot SLOTS-1 | record 0 | record 1 | ...
 *     record: | op | mode | dims[DIMS] | operands[OPERANDS] x (slot, byte offset) | floats[FLOATS] |
 *
 * A dim is a constant when >= 0, otherwise slot ~dim. An operand's address is slots[slot] + offset; a slot of Slot.None means absent.
 */
export const enum Plan {
  Slots = 32, // words before the first record
  Words = 36, // words per record
  Op = 0,
  Mode = 1,
  Dims = 2,
  MaxDims = 6,
  Operands = 8,
  MaxOperands = 12,
  Floats = 32,
  MaxFloats = 4,
}

/** The slot table. Dimensions are filled per chunk, bases per call. */
export const enum Slot {
  None = 0, // absent operand
  Absolute = 1, // always 0: weights and other fixed addresses
  Arena = 2, // activations of this plan
  Scratch = 3, // private to a rank: slots[Scratch] + rank * slots[ScratchStride]
  ScratchStride = 4,
  Head = 5, // addresses of an exchangeable head or adapter
  Tokens = 16, // T: tokens of the chunk
  Sequences = 17, // B
  Longest = 18, // L: longest sequence of the chunk
  Squares = 19, // S: sum of squared lengths
  Selected = 20, // R: selected rows (labelled or asked-for positions)
  Offsets = 21, // B + 1
}

/** Words of the sync region, each on a cache line of its own. */
export const enum Sync {
  Poison = 0, // not 0: every rank leaves at its next barrier
  Arrived = 16,
  Generation = 32,
  Sleepers = 48,
  Counter = 64, // next unit of work of the current record
  Words = 80,
}

export const enum Status {
  Done = 0,
  Aborted = 1,
  BadRecord = 2, // an op code that this build does not know
  Paused = 3, // the record has more units than were asked for
}

/** What one record does. Operands are listed in order; dims in brackets; `?` may be absent. f32 unless said. */
export const enum Op {
  /** C = act(scale * A B + bias), or C += with GemmMode.Accumulate. dims M N K BW; operands A, B, bias?[N], C; floats scale. C in blocks: C[N/BW][M][BW]. */
  Gemm = 1,
  /** Per sequence and head, one of three products (BmmMode). dims heads, headSize, T, B, S; operands A, B, C, offsets i32[B+1]; floats scale. */
  Bmm = 2,
  /** Rows of P [seq][head][len][len] to probabilities. dims heads, B, S; operands X, Y (may be X), offsets. */
  Softmax = 3,
  /**
   * Fused attention. mode AttentionMode; dims heads, headSize, T, B, L, stream; operands q, k, v [heads][T][d], out [T][heads*d], offsets,
   * stats? [2][heads][T] (each query's largest score, and 1 / the sum of its exponentials), examples? i32[B] and seeds? i32[2]: with them
   * the probabilities drop out as DropoutMaps would have it; floats scale, p. With One q is [heads][B][d], out [B][heads*d], and nothing of stats to
   * seeds is there.
   */
  Attention = 4,
  /** y = word[ids] + type[types] + position[positions]; with Fused: LayerNorm of that. dims T, H, V, P, Y (rows of each table); operands ids i32[T], types i32[T], positions i32[T], word, type [Y][H], position [P][H], gamma?, beta?, y [T][H]; floats eps. Mode: TableMode | RowMode.Fused. */
  Embedding = 5,
  /** y = LayerNorm(x + residual) * gamma + beta. dims rows, H; operands x, residual?, gamma, beta, y, stats?[rows][2] (mean, 1/sqrt(var+eps)); floats eps. */
  LayerNorm = 6,
  /** y = act(x) elementwise, slope = act'(x). mode = Activation; dims n m (n*m elements, as in every elementwise record); operands x, y, slope? (may be x). */
  Activation = 7,
  /** c = a + b. dims n m; operands a, b, c. */
  Add = 8,
  /** y[r] = x[index[r]]. dims R, H, rows of x; operands x [..][H], index i32[R], y [R][H]. */
  Gather = 9,
  /** y[b] = mean of the sequence's rows. dims B, H, T; operands x [T][H], offsets i32[B+1], y [B][H]. */
  MeanPool = 10,
  /** y = x / max(|x|_2, eps) by rows. dims rows, H; operands x, y; floats eps. */
  Normalize = 11,
  /** nll[r] = lse[r] - x[r][label[r]] (0 where label = -100), lse[r] = log sum exp x[r]. dims R, C; operands x [R][C], labels i32[R], nll [R], lse [R]. */
  CrossEntropy = 12,
  /** total += scale[0] * sum(x), one rank, in order. dims n m; operands x [n][m], scale f32[1], total f32[1]. */
  Sum = 13,
  /** y = loss(x, target), elementwise. mode = ElementLoss; dims n m; operands x, targets f32, y. */
  ElementLoss = 14,
  /** Cross-entropy over column c of the rows start..end-1 of x: nll[r] = lse[r] - x[start + label[r]][c] (0 where label = -100). dims R, T, W, c; operands x [T][W], starts i32[R], ends i32[R], labels i32[R], nll [R], lse [R]. */
  SpanCrossEntropy = 15,
  /** y = x * kept / (1 - p), or y += with Accumulate: its own gradient. dims rows, n, stream; operands x, y, examples i32[rows], places i32[rows], seeds i32[2] (seed, step); floats p. */
  Dropout = 16,
  /** The same over attention maps. dims heads, B, S, stream; operands x, y, offsets, examples i32[B], seeds i32[2]; floats p. */
  DropoutMaps = 17,
  /** y = the rows of x (times by, columnwise) in 7 bits, with step and least value (kernels/quantize.ts). dims rows, K; operands x [rows][K], y rows7, by?[K]. */
  Quantize = 18,
  /** C = act(A B + bias) over integers. dims M N K BW; operands A rows7 [M][K], B panel8 [N][K], bias?[N], C in blocks as Gemm's. mode = Activation. */
  GemmInt8 = 19,
  /** The same with B panel4 (kernels/int4.ts): K in whole groups of 32. */
  GemmInt4 = 30,

  // Gradients. Mode bit GradMode.Accumulate: += instead of =.
  /** dx = scale[0] * (softmax - onehot), zero rows where label = -100. dims R, C; operands x, labels, lse, scale f32[1], dx [R][C]. */
  CrossEntropyGrad = 20,
  /** dx = dy * slope. mode = Accumulate; dims n m; operands slope, dy, dx. */
  ActivationGrad = 21,
  /** dims rows, H; operands x (the normalised sum's input), gamma, stats [rows][2], dy, dx. */
  LayerNormGrad = 22,
  /** dgamma[j] += sum_t dy xhat, dbeta[j] += sum_t dy, always accumulates, rows in order. dims rows, H; operands x, stats, dy, dgamma, dbeta. */
  LayerNormParamGrad = 23,
  /** dX = P * (dP - rowsum(dP * P)), rows of [seq][head][len][len]. dims heads, B, S; operands P, dP, dX (may be dP), offsets. */
  SoftmaxGrad = 24,
  /** db[j] += sum_t dy[t][j], always accumulates, rows in order; panels = dy. dims rows, N; operands dy [rows][N], db? [N], panels? [N/8][rows][8]. */
  ColumnSum = 25,
  /** table[index[t]] += dy[t], always accumulates, t in order; not where index[t] = skip - 1. mode TableMode; dims T, H, rows of the table, skip; operands dy [T][H], index i32[T], table. */
  Scatter = 26,
  /** dx = scale[0] * loss'(x). mode = ElementLoss | Accumulate; dims n m; operands x, targets f32, scale f32[1], dx. */
  ElementLossGrad = 27,
  /** dx[t] = dy[sequence of t] / its length. mode = Accumulate; dims B, H, T; operands dy [B][H], offsets i32[B+1], dx [T][H]. */
  MeanPoolGrad = 31,
  /** From Normalize to its x: dx = (dy - x (x dy) / |x|^2) / |x|; dy / eps where |x| is below eps. mode = Accumulate; dims rows, H; operands x, dy, dx; floats eps. */
  NormalizeGrad = 32,
  /** y[r] = scale * score(a[r], b[r]). mode = Pair; dims rows, H; operands a, b [rows][H], y [rows]; floats scale. */
  Pairwise = 33,
  /** To its a; to its b with the two changed. mode = Pair | Accumulate; dims rows, H; operands a, b, dy [rows], da [rows][H]; floats scale. */
  PairwiseGrad = 34,
  /** dx[t][c] += scale[0] * (softmax - onehot), always accumulates; spans must not overlap. dims R, T, W, c; operands x, starts, ends, labels, lse, scale f32[1], dx [T][W]. */
  SpanCrossEntropyGrad = 28,

  /**
   * From fused attention to its q, k and v: scores and masks are computed again. dims as Attention's; operands q, k, v, out, dout [T][heads*d],
   * offsets, stats, examples?, seeds?, dq?, dk?, dv? [T][heads*d]; floats scale, p.
   */
  AttentionGrad = 29,

  // Memory and optimizer.
  /** x = value. dims n m; operands x; floats value. */
  Fill = 40,
  /** y = x, or y += x with Accumulate. dims n m; operands x, y. */
  Copy = 41,
  /** In place over n*m elements, g becomes 0. dims n m group; operands p, g, m, v, scalars f32 [groups][AdamScalar]; floats beta1, beta2, eps, weight decay. As torch.optim.AdamW. */
  AdamW = 42,
  /** sums[i] = the sum of x^2 over the i-th run of SquaresRun.Length elements, in double, rounded once. dims n m; operands x, sums. */
  Squares = 43,
}

/** Each run is one rank's, so that a sum has one order for any number of ranks. */
export const enum SquaresRun {
  Length = 8192,
}

/** Words of the scalars that AdamW reads of its group, filled by the host before each step (running products, no pow). */
export const enum AdamScalar {
  LearningRate = 0,
  Correction1 = 1, // 1 - beta1^t
  Correction2 = 2, // 1 - beta2^t
  GradientScale = 3, // multiplies g before use (1, or the clip factor)
  OneMinusBeta1 = 4, // subtracted in double: in f32 1 - 0.999 is off by 1.3e-5 of itself
  OneMinusBeta2 = 5,
  Words = 6,
}

export const enum Activation {
  None = 0,
  Gelu = 1, // x Phi(x) by erf
  GeluTanh = 2, // gelu_new, gelu_pytorch_tanh, gelu_fast
  QuickGelu = 3, // x sigmoid(1.702 x)
  Relu = 4,
  Silu = 5,
  Tanh = 6,
  Mask = 15,
}

export const enum ElementLoss {
  Squared = 0, // (x - t)^2
  Binary = 1, // -t log s(x) - (1 - t) log(1 - s(x)), s the logistic function
  Hinge = 2, // max(0, x + t); of training's builds alone
  Mask = 3,
}

/** How two rows are held against each other. */
export const enum Pair {
  Dot = 0,
  Euclidean = 1, // |a - b|_2
  Manhattan = 2, // |a - b|_1
  Mask = 3,
}

/** Bits of a record's mode beyond Activation.Mask. */
export const enum GradMode {
  Accumulate = 16,
}

export const enum GemmMode {
  /** Where A comes from. */
  ARows = 0, // A [M][K]
  AColumns = 32, // A given as [K][M], transposed into scratch
  /** Where B's panels [K][8] come from. */
  BPanel = 0, // forward panel [N/8][K][8], in place
  BRows = 64, // B given as [K][N]: packed into scratch
  BColumns = 128, // B given as [N][K]: packed into scratch
  BPanelTransposed = 192, // the forward panel [K/8][N][8] of B's transpose, packed into scratch
  BPanel8Transposed = 256, // the same of a transpose in 8 bits (kernels/quantize.ts): numbers again in scratch
  BMask = 448,
}

/** Token operands are [heads][T][d] (Heads) or [T][heads*d] (rows, the default); P operands are [seq][head][len][len]. */
export const enum BmmMode {
  NT = 0, // P = scale * A B^T: A, B tokens, C is P
  NN = 1, // C = scale * P B: A is P, B tokens, C tokens
  TN = 2, // C = scale * P^T B: A is P, B tokens, C tokens
  Mask = 3,
  AHeads = 32,
  BHeads = 64,
  CHeads = 128,
}

/** Who asks. */
export const enum AttentionMode {
  All = 0, // every token
  One = 1, // one query a sequence
}

/** How a table [rows][H] lies in memory. */
export const enum TableMode {
  Rows = 0,
  Panel = 32, // [rows/8][H][8]
  Panel8 = 128, // in 8 bits: kernels/quantize.ts
  Panel4 = 256, // in 4: kernels/int4.ts; multiplies only
}

export const enum RowMode {
  Fused = 64, // Embedding: LayerNorm in the same pass
}

/** Element types of a weight file that packing converts. */
export const enum FileType {
  F32 = 0,
  F16 = 1,
  BF16 = 2,
  I8 = 3, // integers of a quantised weight
  I4 = 4, // the same, two a byte, the low half first, each plus 8
}
