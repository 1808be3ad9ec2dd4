/* eslint-disable @typescript-eslint/no-unsafe-declaration-merging, @typescript-eslint/no-empty-object-type -- instances are callable */
import { expected } from '../errors.ts'
import { BertForMaskedLM, type LogitsOutput } from '../models/bert-for.ts'
import { countOf, Pipeline, rowAt, textAt, type Call, type CallOptions, type Results } from './base.ts'
import type { Job } from './batches.ts'
import { softmax, top } from './scores.ts'

export interface FillMaskOptions extends CallOptions {
  /** How many words for each mask, 5 by default; null for all. */
  readonly top_k?: number | null
  /** Only these words are considered; of what the vocabulary has not, the first piece. Their scores stay those among all words. */
  readonly targets?: string | readonly string[] | null
  /** Tokens of a window; the model's limit by default. Of a longer text the tokens around each mask are read. */
  readonly max_length?: number
}

export interface FilledMask {
  readonly score: number
  /** The word's id. */
  readonly token: number
  readonly token_str: string
  /** The text with the word in place of the mask; with special tokens where other masks are left. */
  readonly sequence: string
}

export interface FillMaskPipeline extends Call<string, FillMaskOptions, FilledMask[] | FilledMask[][]> {}

interface MaskJob extends Job {
  /** The whole text, and where its masks are. */
  readonly ids: readonly number[]
  readonly masks: readonly number[]
  /** Per row the masks that are read in it. */
  readonly places: readonly (readonly number[])[]
}

interface Output extends LogitsOutput {
  /** Of each row the first of its masks. */
  readonly starts: readonly number[]
}

/**
 * Words for the masks of a text of any length: a list for one mask, a list for each of several.
 *
 *     const fill = await pipeline('fill-mask', 'folder')
 *     await fill('Paris is the [MASK] of France.') // [{ score, token, token_str: 'capital', sequence }, ...]
 */
export class FillMaskPipeline extends Pipeline<BertForMaskedLM> {
  static readonly model = BertForMaskedLM
  readonly task = 'fill-mask'

  _call(inputs: string | readonly string[] | AsyncIterable<string>, options: FillMaskOptions = {}): Results<FilledMask[] | FilledMask[][]> {
    return this.run(inputs, options, () => {
      this.check(options, ['top_k', 'targets', 'max_length'])
      const { top_k = 5, targets, signal } = options
      const [count, length] = [countOf('top_k', top_k), this.limit(options.max_length, 'max_length', 3)]
      const wanted = targets === undefined || targets === null ? undefined : this.targetIds(targets)
      return {
        job: (text: string, place: string): MaskJob => this.job(textAt(place, text), place, length),
        compute: async (batch, jobs): Promise<Output> => {
          const logits_positions = jobs.flatMap(({ places }) => places)
          let next = 0
          const starts = logits_positions.map(({ length: n }) => (next += n) - n)
          return { ...(await this.model({ ...batch, logits_positions, signal })), starts }
        },
        result: ({ ids, masks }, { logits, starts }, row) => {
          const lists = masks.map((mask, i) => {
            const scores = softmax(rowAt(logits, starts[row]! + i))
            const best = top(wanted?.map((id) => scores[id]!) ?? scores, count).map((at) => wanted?.[at] ?? at)
            return best.map((token) => this.filled(ids, mask, token, scores[token]!, masks.length === 1))
          })
          return lists.length === 1 ? lists[0]! : lists
        },
      }
    })
  }

  /** Of a text over the limit masks that are less than half a row apart are read together, in its middle: a quarter of it stands on either side. */
  private job(text: string, place: string, length: number): MaskJob {
    const { mask_token, mask_token_id } = this.tokenizer
    const ids = this.tokenizer.encode(text, { truncation: false })
    const masks = ids.flatMap((id, at) => (id === mask_token_id ? [at] : []))
    if (masks.length === 0) throw expected(place, `a text with ${mask_token}`, text)
    const room = length - 2
    const groups: number[][] = []
    for (const at of masks) {
      const group = groups.at(-1)
      if (group && (ids.length <= length || at - group[0]! < room / 2)) group.push(at)
      else groups.push([at])
    }
    const starts = groups.map((group) => Math.max(1, Math.min((group[0]! + group.at(-1)! - room) >> 1, ids.length - 1 - room)))
    return {
      rows: starts.map((start) => {
        const row = [ids[0]!, ...ids.slice(start, -1).slice(0, room), ids.at(-1)!]
        return { ids: row, types: row.map(() => 0) }
      }),
      ids,
      masks,
      places: groups.map((group, i) => group.map((at) => at - starts[i]! + 1)),
    }
  }

  private filled(ids: readonly number[], mask: number, token: number, score: number, skip_special_tokens: boolean): FilledMask {
    const { tokenizer } = this
    const filled = ids.map((id, at) => (at === mask ? token : id)).filter((id) => id !== tokenizer.pad_token_id)
    return { score, token, token_str: tokenizer.decode([token]), sequence: tokenizer.decode(filled, { skip_special_tokens }) }
  }

  private targetIds(targets: string | readonly string[]): number[] {
    const vocabulary = this.tokenizer.get_vocab()
    const ids = [targets].flat().map((target, i) => {
      const text = textAt(`targets[${i}]`, target)
      const id = vocabulary.get(text) ?? this.tokenizer.encode(text, { add_special_tokens: false })[0]
      if (id !== undefined && (id !== this.tokenizer.unk_token_id || vocabulary.has(text))) return id
      throw expected(`targets[${i}]`, 'a word that the vocabulary has pieces for', target, 'tokenizer.tokenize(word) shows them')
    })
    if (ids.length === 0) throw expected('targets', 'at least one word', targets)
    return [...new Set(ids)]
  }
}
