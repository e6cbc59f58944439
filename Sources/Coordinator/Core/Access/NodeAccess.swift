// What an agent's identity may, on both doors: open its session, and read its own Node, its own pods, and the Secrets
// and ConfigMaps that these use while they are to run. No role gives it more: it writes by its session's reports.
// It must not know what goes into an assignment; which objects a pod uses is the Fleet's to say.

import ClusterProto

extension CoordinatorCore {
  func agentMay(_ subject: Subject, _ access: AccessAttributes) -> Bool {
    if access == .session { return true }
    guard let node = subject.node else { return false }
    guard access.verb == "get", access.group.isEmpty, access.subresource.isEmpty, !access.name.isEmpty else {
      return false
    }
    let key = ObjectKey(namespace: access.namespace, name: access.name)
    if access.resource == Kind.nodes.plural { return access.name == node }
    if access.resource == Kind.pods.plural { return state.pods[key]?.nodeName == node }
    let runsImages = runsImages(node: node)
    for pod in state.boundPods[node] ?? InsertionSet() where pod.namespace == access.namespace {
      guard let spec = state.pods[pod]?.spec else { continue }
      let references = Self.references(of: spec, runsImages: runsImages)
      if references.contains(where: { $0.kind.plural == access.resource && $0.name == access.name }) { return true }
    }
    return false
  }
}
