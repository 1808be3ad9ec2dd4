/**
 * Base of objects that are called like functions: `await model(inputs)`. A call goes to the method `_call`.
 * The instance is a function whose prototype is the class's, so methods, fields and instanceof work as usual.
 */
export abstract class Callable {
  constructor() {
    const call = (...args: unknown[]): unknown => (call as unknown as { _call(...args: unknown[]): unknown })._call(...args)
    return Object.setPrototypeOf(call, new.target.prototype) as this
  }
}
