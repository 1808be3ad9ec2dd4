// Exports assembly/math.ts over arrays, so that its bounds can be measured. Compiled by test/math.test.ts.
import { Activation } from '../../assembly/abi'
import { activate, exp, log, sigmoid, tanh } from '../../assembly/math'

export function expAll(x: usize, y: usize, n: i32): void {
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) v128.store(y + i, exp(v128.load(x + i)))
}

export function logAll(x: usize, y: usize, n: i32): void {
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) v128.store(y + i, log(v128.load(x + i)))
}

export function tanhAll(x: usize, y: usize, n: i32): void {
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) v128.store(y + i, tanh(v128.load(x + i)))
}

export function sigmoidAll(x: usize, y: usize, n: i32): void {
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) v128.store(y + i, sigmoid(v128.load(x + i)))
}

export function geluAll(x: usize, y: usize, n: i32): void {
  for (let i: usize = 0; i < (<usize>n) << 2; i += 16) v128.store(y + i, activate(Activation.Gelu, v128.load(x + i)))
}
