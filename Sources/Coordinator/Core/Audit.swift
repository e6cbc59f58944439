// The one form of what is audited: a deed, what it was done to, by whom, from where. It must not know how lines are
// written, and is never given what is secret: no token, key, body or value.

import ClusterProto

/// One line of the audit: docs/security.md says what each deed is.
package struct AuditEntry: Equatable, Sendable {
  /// What was done.
  package enum Deed: String, Sendable {
    case join, token, user, refusal, role, delete, revoke
  }

  /// What was done.
  package var deed: Deed
  /// To what, in words.
  package var what: String
  /// The user's name.
  package var who: String
  /// The address that it came from; empty where none is known.
  package var from: String

  /// Takes each value as it stands.
  package init(_ deed: Deed, _ what: String, who: String, from: String) {
    self.deed = deed
    self.what = what
    self.who = who
    self.from = from
  }
}

extension CoordinatorCore {
  /// A line that leaves once what it tells is durable.
  mutating func audit(_ deed: AuditEntry.Deed, _ what: String, by subject: Subject) {
    outputs.append(.audit(AuditEntry(deed, what, who: subject.name, from: subject.from)))
  }
}
