/**
 * The token of one approval: what the thread has, and besides it one tool that somebody agreed to.
 *
 *   Q1. Its id names the approval, so that it is told from a thread's ordinary tokens without being read.
 *   Q2. Its parent is an ordinary token of the same thread. No other token grants `tool.approved`, so nothing is passed on.
 */
import type { Grants } from '../contract.ts'

/** The capability that nothing but an approval gives. */
export const APPROVED = 'tool.approved'

/** Ids of all other tokens are UUIDs. */
export const APPROVAL_PREFIX = 'approval:'

export function approvalJti(approvalId: string, uuid: string): string {
  return `${APPROVAL_PREFIX}${approvalId}:${uuid}`
}

export function isApprovalJti(jti: string): boolean {
  return jti.startsWith(APPROVAL_PREFIX)
}

export function withApproval(grants: Grants, toolId: string): Grants {
  return { ...grants, capabilities: { ...grants.capabilities, [APPROVED]: [toolId] } }
}

export function withoutApproval(grants: Grants): Grants {
  const { [APPROVED]: _approved, ...capabilities } = grants.capabilities
  return { ...grants, capabilities }
}

export function holdsApproval(grants: Grants): boolean {
  return Object.hasOwn(grants.capabilities, APPROVED)
}
