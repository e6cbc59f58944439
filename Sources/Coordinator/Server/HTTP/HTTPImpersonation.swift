// Owns: requests in another one's name (`kubectl --as`): whose name the headers give, and that the asker may take it,
// which the core says. It must not know what the request is about.

import ClusterProto
import CoordinatorCore

enum HTTPImpersonation {
  private static let prefix = "impersonate-"
  private static let user = "impersonate-user"
  private static let group = "impersonate-group"
  /// Groups of one request, each of which is asked for.
  private static let groupLimit = 100

  /// Who the request is to count as: the asker, or whom its headers name. Throws where the asker may not.
  static func subject(
    _ request: HTTPRequest, of asker: Subject, _ check: (AccessAttributes) throws(HTTPFailure) -> Void
  ) throws(HTTPFailure) -> Subject {
    guard request.headers.contains(where: { $0.name.hasPrefix(prefix) }) else { return asker }
    let headers = request.headers.filter { $0.name.hasPrefix(prefix) }
    if let other = headers.first(where: { $0.name != user && $0.name != group }) {
      throw HTTPFailure(400, "\(other.name): only users and groups are impersonated by this version")
    }
    let names = headers.filter { $0.name == user }.map(\.value)
    var groups = headers.filter { $0.name == group }.map(\.value)
    guard names.count <= 1 else { throw HTTPFailure(400, "\(user): one user is impersonated at a time") }
    // As in Kubernetes, an empty name is none: whose request it is then is not open to doubt.
    guard let name = names.first, !name.isEmpty else {
      if groups.isEmpty { return asker }
      // An ObjectReference each, as Go prints it.
      let wanted = groups.prefix(groupLimit).map { "{Group  \($0)    }" }.joined(separator: " ")
      throw HTTPFailure(
        500,
        "Internal Server Error: \(JSON.string(request.target).text): requested [\(wanted)] without impersonating a user"
      )
    }
    if groups.count > groupLimit { throw HTTPFailure(400, "at most \(groupLimit) groups are impersonated") }
    let account = Subject.serviceAccount(name)
    if let account {
      try check(
        AccessAttributes(
          verb: "impersonate", resource: "serviceaccounts", namespace: account.namespace, name: account.name))
      if groups.isEmpty { groups = ["system:serviceaccounts", "system:serviceaccounts:\(account.namespace)"] }
    } else {
      try check(AccessAttributes(verb: "impersonate", resource: "users", name: name))
    }
    // What every one has that is proven is not asked for.
    for group in groups where group != Subject.authenticated && !(account != nil && isOwn(group, account)) {
      try check(AccessAttributes(verb: "impersonate", resource: "groups", name: group))
    }
    guard var subject = Subject(commonName: name, organizations: groups, from: asker.from) else { return asker }
    subject.actor = asker.audited
    if name == Subject.anonymous.name { subject.groups = [Subject.unauthenticated] }
    return subject
  }

  /// Groups that a ServiceAccount is in anyway.
  private static func isOwn(_ group: String, _ account: (namespace: String, name: String)?) -> Bool {
    group == "system:serviceaccounts" || group == account.map { "system:serviceaccounts:\($0.namespace)" }
  }
}
