// A training that is killed and resumed: run by test/trainer-resume.test.ts and prove-resume.ts as a process of its own, bundled.
// Arguments: the folder, and perhaps a number of file operations after which the process kills itself.
import '../../src/index.node.ts'
import { BertForSequenceClassification } from '../../src/index.ts'
import { directoryFolder } from '../../src/runtimes/node-folder.ts'
import { Trainer, type Folder } from '../../src/training.ts'
import { memorySource } from '../../src/weights/source.ts'
import { checkpoint, sequences } from './models.ts'

const [to, after] = process.argv.slice(2)
let left = after === undefined ? Infinity : Number(after)

/** Dies by SIGKILL at the place where `left` runs out: before, in or after any write, rename or removal. */
function mortal(): void {
  if (left-- <= 0) process.kill(process.pid, 'SIGKILL')
}

function watched(folder: Folder): Folder {
  const around = <A extends unknown[], T>(work: (...args: A) => Promise<T>): ((...args: A) => Promise<T>) => {
    return async (...args) => {
      mortal()
      const result = await work(...args)
      mortal()
      return result
    }
  }
  async function* slow(pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    let size = 0
    for await (const piece of pieces) {
      if ((size += piece.length) > 4096) {
        mortal()
        size = 0
      }
      yield piece
    }
  }
  return {
    ...folder,
    sink: (name) => ({ write: around((file, pieces) => folder.sink(name).write(file, slow(pieces))) }),
    sync: around(folder.sync),
    rename: around(folder.rename),
    remove: around(folder.remove),
    append: around(folder.append),
  }
}

const files = checkpoint({ hidden_size: 24, intermediate_size: 40 })
const model = await BertForSequenceClassification.fromPretrained(memorySource(files, 'killed'), {
  threads: 1,
  num_labels: 3,
  seed: 3,
  initialize_missing: true,
})
const folder = directoryFolder(to!)
const features = (count: number, seed: number): { input_ids: number[]; label: number }[] =>
  sequences(count, { longest: 24, seed }).map((input_ids) => ({ input_ids, label: input_ids[0]! % 3 }))
const trainer = new Trainer({
  model,
  args: {
    output_dir: watched(folder),
    max_steps: 24,
    learning_rate: 2e-3,
    weight_decay: 0.01,
    warmup_steps: 0.1,
    save_steps: 3,
    save_total_limit: 2,
    eval_strategy: 'steps',
    eval_steps: 3,
    logging_steps: 2,
    load_best_model_at_end: true,
  },
  train_dataset: features(44, 21),
  eval_dataset: features(9, 22),
})
process.stdout.write('ready\n')
await trainer.train({ resume_from_checkpoint: true })
left = Infinity
await trainer.saveModel(`${to}/final`)
process.stdout.write('done\n')
await model.dispose()
