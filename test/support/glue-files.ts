// Two files of each task of GLUE, a few lines long.
import type { GlueTask } from '../../src/data.ts'

/** A line of a table. */
export const row = (...cells: string[]): string => `${cells.join('\t')}\n`
const pairId = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
/**
 * Files in the layout of the archives: with quotes that are text, and white space at the end. `wanted` is what train holds, `prediction` what is
 * handed in.
 */
export const GLUE_FILES: Record<GlueTask, { train: string; test: string; wanted: unknown[][]; prediction: string }> = {
  cola: {
    train: row('gj04', '1', '', 'Our "friends.') + row('gj04', '0', '*', 'They is.'),
    test: row('index', 'sentence') + row('0', 'A test.'),
    wanted: [
      ['Our "friends.', 1],
      ['They is.', 0],
    ],
    prediction: '1',
  },
  sst2: {
    train: row('sentence', 'label') + row('a fine film ', '1') + row('dull ', '0'),
    test: row('index', 'sentence') + row('0', 'A test.'),
    wanted: [
      ['a fine film ', 1],
      ['dull ', 0],
    ],
    prediction: '1',
  },
  mrpc: {
    train: `\ufeff${row('Quality', '#1 ID', '#2 ID', '#1 String', '#2 String')}${row('1', '7', '8', 'A " b.', 'C d.')}${row('0', '7', '9', 'E', 'F')}`,
    test: row('index', '#1 ID', '#2 ID', '#1 String', '#2 String') + row('0', '1', '2', 'A test.', 'B'),
    wanted: [
      ['A " b.', 'C d.', 1],
      ['E', 'F', 0],
    ],
    prediction: '1',
  },
  stsb: {
    train:
      row('index', 'genre', 'filename', 'year', 'old_index', 'source1', 'source2', 'sentence1', 'sentence2', 'score') +
      row('0', ...pairId.slice(0, 6), 'A', 'B', '3.800') +
      row('1', ...pairId.slice(0, 6), 'C', 'D', '0.250'),
    test:
      row('index', 'genre', 'filename', 'year', 'old_index', 'source1', 'source2', 'sentence1', 'sentence2') +
      row('0', ...pairId.slice(0, 6), 'A test.', 'B'),
    wanted: [
      ['A', 'B', 3.8],
      ['C', 'D', 0.25],
    ],
    prediction: '5.000',
  },
  qqp: {
    train:
      row('id', 'qid1', 'qid2', 'question1', 'question2', 'is_duplicate') +
      row('1', '2', '3', 'A?', 'B?', '1') +
      row('4', '5') +
      row('1', '2', '3', 'C?', 'D?', '0'),
    test: row('id', 'question1', 'question2') + row('0', 'A test.', 'B'),
    wanted: [
      ['A?', 'B?', 1],
      ['C?', 'D?', 0],
    ],
    prediction: '1',
  },
  mnli: {
    train:
      row(
        'index',
        'promptID',
        'pairID',
        'genre',
        'sentence1_binary_parse',
        'sentence2_binary_parse',
        'sentence1_parse',
        'sentence2_parse',
        'sentence1',
        'sentence2',
        'label1',
        'gold_label',
      ) +
      row(...pairId, 'A', 'B', 'neutral', 'contradiction') +
      row(...pairId, 'C', 'D', 'neutral', 'entailment'),
    test:
      row(
        'index',
        'promptID',
        'pairID',
        'genre',
        'sentence1_binary_parse',
        'sentence2_binary_parse',
        'sentence1_parse',
        'sentence2_parse',
        'sentence1',
        'sentence2',
      ) + row(...pairId, 'A test.', 'B'),
    wanted: [
      ['A', 'B', 2],
      ['C', 'D', 0],
    ],
    prediction: 'neutral',
  },
  qnli: {
    train: row('index', 'question', 'sentence', 'label') + row('0', 'A?', 'B.', 'not_entailment') + row('1', 'C?', 'D.', 'entailment'),
    test: row('index', 'question', 'sentence') + row('0', 'A test.', 'B'),
    wanted: [
      ['A?', 'B.', 1],
      ['C?', 'D.', 0],
    ],
    prediction: 'not_entailment',
  },
  rte: {
    train: row('index', 'sentence1', 'sentence2', 'label') + row('0', 'A', 'B', 'entailment') + row('1', 'C', 'D', 'not_entailment'),
    test: row('index', 'sentence1', 'sentence2') + row('0', 'A test.', 'B'),
    wanted: [
      ['A', 'B', 0],
      ['C', 'D', 1],
    ],
    prediction: 'not_entailment',
  },
  wnli: {
    train: row('index', 'sentence1', 'sentence2', 'label') + row('0', 'A', 'B', '1') + row('1', 'C', 'D', '0'),
    test: row('index', 'sentence1', 'sentence2') + row('0', 'A test.', 'B'),
    wanted: [
      ['A', 'B', 1],
      ['C', 'D', 0],
    ],
    prediction: '1',
  },
}
