// Vectors of texts: as sentence-transformers' files say, in streams, in fewer bits, and compared.
import { Tensor } from '../../src/index.ts'
import { quantize, type Ranges } from '../../src/pipelines/vectors.ts'
import { writeSafetensors } from '../support/safetensors.ts'
import { check, close, rejects, same, type ConformanceCase } from './case.ts'
import { HERE } from './heads.ts'
import { texts, tiny, using } from './pipeline-behaviour.ts'
import { open } from './pipelines.ts'

const sum = (a: ArrayLike<number>, b: ArrayLike<number>): number => Array.from(a).reduce((before, x, i) => before + x * b[i]!, 0)

/** Files of a model whose vectors are compared by a function of this name. */
const comparedBy = (similarity_fn_name: string | null): Record<string, string> => ({
  'modules.json': '[]',
  'config_sentence_transformers.json': JSON.stringify({ similarity_fn_name }),
})

export const VECTORS: readonly ConformanceCase[] = [
  {
    name: "sentence-transformers' files: poolings side by side, length, prompts, and length 1",
    run: async (files) => {
      const json = JSON.stringify
      const modules = ['Transformer', 'Pooling', 'Normalize'].map((type, idx) => ({
        idx,
        name: `${idx}`,
        path: idx === 0 ? '' : `${idx}_${type}`,
        type: `sentence_transformers.models.${type}`,
      }))
      const source = await tiny(files, 'ner', {
        'modules.json': json(modules),
        'sentence_bert_config.json': json({ max_seq_length: 12 }),
        'config_sentence_transformers.json': json({ prompts: { query: 'what: ', no: '' }, default_prompt_name: 'query' }),
        '1_Pooling/config.json': json({ pooling_mode_cls_token: true, pooling_mode_mean_tokens: true, pooling_mode_max_tokens: false }),
      })
      const embed = await open('feature-extraction', source, HERE)
      const vector = async (text: string, options: object): Promise<Tensor> => (await embed(text, options)) as Tensor
      const parts: number[] = []
      for (const pooling of ['cls', 'mean']) parts.push(...(await vector('what: Ada lived in london', { pooling, max_length: 12 })).data)
      const norm = Math.sqrt(parts.reduce((sum, x) => sum + x * x, 0))
      const want = parts.map((x) => x / norm)
      const auto = await vector('Ada lived in london', { pooling: 'auto' })
      same(auto.dims, [1, 64], 'dims')
      close(auto.data, want, 1e-6, 'the model as trained')
      close((await vector('Ada lived in london', { pooling: 'auto', prompt_name: 'query' })).data, want, 1e-6, 'the prompt by name')
      check(
        (await vector('Ada lived in london', { pooling: 'auto', prompt: '' })).data.some((x, i) => Math.abs(x - want[i]!) > 1e-3),
        'expected a prompt to count',
      )
      await rejects(() => embed('a', { prompt_name: 'qery' }), /one of query, no, got "qery". Did you mean query/, 'a prompt')
      await embed.dispose()
    },
  },
  {
    name: 'layers behind the pooling are read and applied; a module that is not known is refused by name',
    run: async (files) => {
      const weight = Array.from({ length: 3 * 32 }, (_, i) => ((i * 7) % 11) / 11 - 0.5)
      const modules = (last: string): string => {
        const types = ['models.Transformer', 'models.Pooling', last]
        return JSON.stringify(types.map((type, idx) => ({ idx, name: `${idx}`, path: `${idx}`, type: `sentence_transformers.${type}` })))
      }
      const more = {
        '1/config.json': JSON.stringify({ pooling_mode: 'mean' }),
        '2/config.json': JSON.stringify({ in_features: 32, out_features: 3, activation_function: 'torch.nn.modules.activation.Tanh' }),
        '2/model.safetensors': writeSafetensors([
          ['linear.weight', [3, 32], weight],
          ['linear.bias', [3], [0.5, -0.5, 0]],
        ]),
      }
      const embed = await open('feature-extraction', await tiny(files, 'ner', { ...more, 'modules.json': modules('models.Dense') }), HERE)
      const mean = [...((await embed('Ada', { pooling: 'mean' })) as Tensor).data]
      const want = [0.5, -0.5, 0].map((bias, n) => Math.tanh(mean.reduce((sum, x, k) => sum + x * weight[n * 32 + k]!, bias)))
      const { data, dims } = (await embed('Ada', { pooling: 'auto' })) as Tensor
      same(dims, [1, 3], 'dims')
      close(data, want, 1e-5, 'tanh of the layer')
      await embed.dispose()
      const other = await tiny(files, 'ner', { ...more, 'modules.json': modules('models.LSTM') })
      await rejects(() => open('feature-extraction', other, HERE), /a module of type LSTM/, 'a module')
    },
  },
  {
    name: 'vectors of a stream are those of the texts alone, in whole numbers too, by ranges of other vectors',
    run: (files) =>
      using(files, 'feature-extraction', 'ner', async (pipe) => {
        const list = texts(12, 5)
        const source = async function* (): AsyncGenerator<string> {
          yield* list
        }
        const sample = (await pipe(list, { pooling: 'max' })) as Tensor
        for (const options of [
          {},
          { pooling: 'mean', normalize: true },
          { pooling: 'max', precision: 'int8', calibration_embeddings: sample },
        ]) {
          let i = 0
          for await (const { dims, data } of pipe(source(), options) as unknown as AsyncIterable<Tensor>) {
            const alone = (await pipe(list[i++]!, options)) as Tensor
            same([dims, [...data]], [alone.dims, [...alone.data]], `text ${i} ${JSON.stringify(Object.keys(options))}`)
          }
          same(i, list.length, 'vectors')
        }
        const whole = (await pipe(list, { pooling: 'max', precision: 'int8', calibration_embeddings: sample })) as Tensor
        same([Math.min(...whole.data), whole.dims], [-128, [12, 32]], 'the least number of each dimension, and dims')
        await rejects(
          async () => {
            for await (const _ of pipe(source(), { pooling: 'mean', precision: 'int8' }) as unknown as AsyncIterable<Tensor>);
          },
          /ranges: expected \[min, max\] for a stream/,
          'a stream without ranges',
        )
      }),
  },
  {
    name: 'vectors in eight bits and in one, by the rules of sentence-transformers',
    run: async () => {
      const vectors = new Tensor(Float32Array.of(-1, 0, 2, 0.5, 1, -0.25, 3, 0, 0.1, -2, 0, 1, 5, -5, 0.5, 1, 2, 2), [2, 9])
      const ranges: Ranges = [new Float32Array(9).fill(-1), new Float32Array(9).fill(1.55)]
      // numpy: step 0.01; below and above the range ends.
      same([...quantize(vectors, 'uint8', ranges).data].slice(0, 4), [0, 100, 255, 150], 'uint8')
      same([...quantize(vectors, 'int8', ranges).data].slice(0, 4), [-128, -28, 127, 22], 'int8')
      // numpy.packbits([[0,0,1,1,1,0,1,0,1],[0,0,1,1,0,1,1,1,1]], axis=1)
      same([...quantize(vectors, 'ubinary', ranges).data], [58, 128, 55, 128], 'ubinary')
      same([...quantize(vectors, 'binary', ranges).data], [-70, 0, -73, 0], 'binary')
      same(quantize(vectors, 'binary', ranges).type, 'int8', 'type')
    },
  },
  {
    name: 'one source, several and a stream are compared with the same sentences, and give the same',
    run: (files) =>
      using(files, 'sentence-similarity', 'ner', async (pipe) => {
        const [sources, sentences] = [texts(5, 7), texts(6, 8)]
        const alone: number[][] = []
        for (const source of sources) alone.push((await pipe(source, sentences)) as number[])
        same(alone[0]!.length, sentences.length, 'a number a sentence')
        const many = (await pipe(sources, sentences)) as number[][]
        for (const [i, row] of many.entries()) close(row, alone[i]!, 1e-6, `source ${i}`)
        const stream = async function* (): AsyncGenerator<string> {
          yield* sources
        }
        let next = 0
        for await (const row of pipe(stream(), sentences) as unknown as AsyncIterable<number[]>)
          close(row, alone[next]!, 1e-6, `stream ${next++}`)
        same(next, sources.length, 'sources of the stream')
        same([await pipe('a', []), await pipe([], ['a'])], [[], []], 'nothing to compare')
      }),
  },
  {
    name: "sentences are compared by the function that the model's files name, or refused",
    run: async (files) => {
      const embed = await open('feature-extraction', await tiny(files, 'ner'), HERE)
      const { data } = (await embed(['Ada', 'a film'], { pooling: 'mean' })) as Tensor
      await embed.dispose()
      const [a, b] = [data.subarray(0, 32), data.subarray(32)]
      const dot = sum(a, b)
      const wanted = { cosine: dot / Math.sqrt(sum(a, a) * sum(b, b)), dot, null: dot / Math.sqrt(sum(a, a) * sum(b, b)) }
      for (const [name, want] of Object.entries(wanted)) {
        const similarity = await open('sentence-similarity', await tiny(files, 'ner', comparedBy(name === 'null' ? null : name)), HERE)
        close((await similarity('Ada', ['a film'])) as number[], [want], 1e-5, name)
        await similarity.dispose()
      }
      const other = await open('sentence-similarity', await tiny(files, 'ner', comparedBy('manhattan')), HERE)
      await rejects(() => other('Ada', ['a film']), /similarity_fn_name: expected one of cosine, dot, got "manhattan"/, 'another function')
      await other.dispose()
    },
  },
]
