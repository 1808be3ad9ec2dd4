// Runs every op case on the builds named on the command line and prints what failed: for engines other than the one that runs the tests.
import { KernelRunner } from './kernel-runner.ts'
import { opCases } from './op-cases.ts'

const cases = opCases()
const failed: string[] = []
for (const file of process.argv.slice(2)) {
  const runner = await KernelRunner.create(file)
  for (const test of cases) {
    const { errors } = await runner.run(test)
    failed.push(...errors.map((error) => `${file}: ${test.name}: ${error}`))
  }
}
console.log(JSON.stringify({ cases: cases.length, failed }))
