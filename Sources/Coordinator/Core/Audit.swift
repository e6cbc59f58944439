// The one form of what is audited: a deed, what it was done to, by whom, from where. It must not know how lines are
// written, and is never given what is secret: no token, key, body or value.

import ClusterProto

/// One line of the audit: docs/security.md says what each deed is.
package struct AuditEntry: Equatable, Sendable {
  /// What was done.
  package enum Deed: String, Sendable {
    case join, token, user, refusal, role, delete, revoke, authority, enter
  }

  /// Where something came from: an address, or the connection whose address the shell knows.
  package enum Origin: Equatable, Sendable {
    case address(String)
    case request(RequestID)
    case session(SessionID)
  }

  /// What was done.
  package var deed: Deed
  /// To what, in words.
  package var what: String
  /// The user's name.
  package var who: String
  /// Where it came from.
  package var from: Origin

  /// Takes each value as it stands.
  package init(_ deed: Deed, _ what: String, who: String, from: Origin) {
    self.deed = deed
    self.what = what
    self.who = who
    self.from = from
  }
}

extension CoordinatorCore {
  /// A line that leaves once what it tells is durable.
  mutating func audit(_ deed: AuditEntry.Deed, _ what: String, by subject: Subject) {
    outputs.append(.audit(AuditEntry(deed, what, who: subject.audited, from: .address(subject.from))))
  }

  /// A denial, which is audited.
  mutating func refusal(_ subject: Subject, _ access: AccessAttributes, _ reason: String) -> APIFailure {
    let failure = APIFailure.denied(subject, access, reason)
    audit(.refusal, failure.message, by: subject)
    return failure
  }

  /// Deletes, and changes of roles, of who may do what. Others are in the objects' own `managedFields`.
  mutating func audit(_ request: APIRequest) {
    guard !request.isTried else { return }
    let isRole = request.kind.group == "rbac.authorization.k8s.io"
    switch request.verb {
    case .get, .list, .watch, .log: return
    // Not the command: what is typed may be secret.
    case .connect: if request.isEntry { audit(.enter, request.inWords, by: request.subject) }
    case .delete, .deletecollection: audit(isRole ? .role : .delete, request.inWords, by: request.subject)
    case .create where request.subresource == "eviction": audit(.delete, request.inWords, by: request.subject)
    // Tokens are audited where they are made, with what they are good for.
    case .create, .update, .patch:
      if isRole { audit(.role, request.inWords, by: request.subject) }
      if request.subresource == Self.ephemeralContainers { audit(.enter, request.inWords, by: request.subject) }
    }
  }
}

extension APIRequest {
  /// Whether somebody enters a pod by it: by HTTP a port is asked for once without a number, and then for each
  /// connection to it.
  fileprivate var isEntry: Bool {
    subresource != PodStreamPurpose.portforward.rawValue || subject.door != .https
      || body?["port"]?.intValue ?? 0 == 0
  }

  /// Whether nothing is to be done: a delete says it in its body, too.
  fileprivate var isTried: Bool {
    if options.dryRun { return true }
    let deletion: JSON? =
      switch verb {
      case .delete, .deletecollection: body
      default: subresource == "eviction" ? body?["deleteOptions"] : nil
      }
    return !(deletion?["dryRun"]?.arrayValue ?? []).isEmpty
  }

  /// `delete jobs.batch default/demo`; nothing of the body but the name.
  fileprivate var inWords: String {
    let made =
      body?[path: ["metadata", "name"]]?.stringValue ?? body?[path: ["metadata", "generateName"]]?.stringValue
    let object = name.isEmpty ? verb == .create ? made ?? "" : "" : name
    let part = subresource.isEmpty ? "" : "/\(subresource)"
    let place = namespace.isEmpty ? object : "\(namespace)/\(object)"
    return "\(verb.rawValue) \(kind.qualifiedPlural)\(part) \(place.prefix(512))"
  }
}
