/**
 * A filter of system calls (classic BPF, as `--seccomp` takes it) for what no mount or namespace prevents:
 *
 * F1. No file gets a set-user-id or set-group-id bit: in a writable folder of the project it would outlive the sandbox and lend the
 *     user's identity to everybody on the machine.
 * F2. The kernel's keyrings, which processes inherit, cannot be asked for.
 * F3. No way around F1: calls whose arguments lie in memory, and those of another instruction set, do not exist.
 */
import { constants } from 'node:os'

type Rule =
  /** The call fails. */
  | { readonly call: number; readonly fails: number }
  /** The call fails when its argument `mode` has such a bit; with `flags` only when that argument says that a file is made. */
  | { readonly call: number; readonly mode: number; readonly flags?: number }

interface Machine {
  readonly audit: number
  readonly rules: readonly Rule[]
  /** First number of another set of calls of the same machine. */
  readonly foreignFrom?: number
}

const { EPERM, ENOSYS } = constants.errno

/** `openat2`, `io_uring_setup` and `fchmodat2` have the same numbers everywhere. */
const EVERYWHERE: readonly Rule[] = [
  { call: 437, fails: ENOSYS },
  { call: 425, fails: ENOSYS },
  { call: 452, mode: 2 },
]

const MACHINES: Readonly<Record<string, Machine>> = {
  x64: {
    audit: 0xc000003e,
    foreignFrom: 0x40000000,
    rules: [
      ...EVERYWHERE,
      // chmod, fchmod, fchmodat; creat, open, openat; mknod, mknodat; add_key, request_key, keyctl
      { call: 90, mode: 1 },
      { call: 91, mode: 1 },
      { call: 268, mode: 2 },
      { call: 85, mode: 1 },
      { call: 2, mode: 2, flags: 1 },
      { call: 257, mode: 3, flags: 2 },
      { call: 133, mode: 1 },
      { call: 259, mode: 2 },
      ...[248, 249, 250].map((call) => ({ call, fails: ENOSYS })),
    ],
  },
  arm64: {
    audit: 0xc00000b7,
    rules: [
      ...EVERYWHERE,
      // fchmod, fchmodat; openat; mknodat; add_key, request_key, keyctl
      { call: 52, mode: 1 },
      { call: 53, mode: 2 },
      { call: 56, mode: 3, flags: 2 },
      { call: 33, mode: 2 },
      ...[217, 218, 219].map((call) => ({ call, fails: ENOSYS })),
    ],
  },
}

const LOAD = 0x20
const JUMP_IF_EQUAL = 0x15
const JUMP_IF_AT_LEAST = 0x35
const JUMP_IF_BITS = 0x45
const RETURN = 0x06
const ALLOW = 0x7fff0000
const FAIL = 0x00050000

const NUMBER_AT = 0
const MACHINE_AT = 4
const SET_ID_BITS = 0o6000
const MAKES_A_FILE = 0o100 | 0o20000000

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number]

/** Null for an instruction set that is not known here; then the caller must take such bits away afterwards. */
export function systemCallFilter(arch: string): Uint8Array | null {
  const machine = MACHINES[arch]
  if (machine === undefined) return null
  const program: Instruction[] = [
    [LOAD, 0, 0, MACHINE_AT],
    [JUMP_IF_EQUAL, 1, 0, machine.audit],
    [RETURN, 0, 0, FAIL | ENOSYS],
    [LOAD, 0, 0, NUMBER_AT],
  ]
  if (machine.foreignFrom !== undefined)
    program.push([JUMP_IF_AT_LEAST, 0, 1, machine.foreignFrom], [RETURN, 0, 0, FAIL | ENOSYS])
  for (const rule of machine.rules) {
    const body = bodyOf(rule)
    program.push([JUMP_IF_EQUAL, 0, body.length, rule.call], ...body)
  }
  program.push([RETURN, 0, 0, ALLOW])
  return encoded(program)
}

/** Ends the filter for its call, so the number that was loaded is there for the next rule. */
function bodyOf(rule: Rule): readonly Instruction[] {
  if ('fails' in rule) return [[RETURN, 0, 0, FAIL | rule.fails]]
  const checked: readonly Instruction[] = [
    [LOAD, 0, 0, argumentAt(rule.mode)],
    [JUMP_IF_BITS, 0, 1, SET_ID_BITS],
    [RETURN, 0, 0, FAIL | EPERM],
    [RETURN, 0, 0, ALLOW],
  ]
  if (rule.flags === undefined) return checked
  return [[LOAD, 0, 0, argumentAt(rule.flags)], [JUMP_IF_BITS, 0, checked.length - 1, MAKES_A_FILE], ...checked]
}

/** The lower half of an argument; both machines put it first. */
const argumentAt = (index: number): number => 16 + 8 * index

function encoded(program: readonly Instruction[]): Uint8Array {
  const bytes = Buffer.alloc(program.length * 8)
  for (const [index, [code, ifTrue, ifFalse, value]] of program.entries()) {
    bytes.writeUInt16LE(code, index * 8)
    bytes.writeUInt8(ifTrue, index * 8 + 2)
    bytes.writeUInt8(ifFalse, index * 8 + 3)
    bytes.writeUInt32LE(value >>> 0, index * 8 + 4)
  }
  return bytes
}
