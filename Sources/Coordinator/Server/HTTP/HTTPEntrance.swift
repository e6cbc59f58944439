// Owns: HTTP's way into a running pod: what exec, attach and port-forward ask for by path, query and headers, and the
// session that speaks to the client. It must not know what becomes of a stream.

import ClusterIO
import ClusterProto
import CoordinatorCore

extension HTTPDoor {
  /// Serves a request for `purpose`; whoever may not is told that before what else is wrong.
  func enter(
    _ purpose: PodStreamPurpose, _ resource: HTTPResource, _ request: HTTPRequest, _ target: HTTPTarget,
    _ subject: Subject, _ client: HTTPConnection
  ) throws(HTTPFailure) {
    guard request.method == "GET" || request.method == "POST" else { throw HTTPDoor.methodNotAllowed }
    var asked = APIRequest(
      verb: .connect, kind: .pods, namespace: resource.namespace, name: resource.name, subresource: purpose.rawValue)
    asked.subject = subject
    try check(AccessAttributes(asked), subject)
    let isPorts = purpose == .portforward
    let upgrade = try HTTPUpgrade(
      request, spdy: isPorts ? HTTPUpgrade.portsOverSPDY : HTTPUpgrade.commandOverSPDY,
      webSocket: isPorts ? HTTPUpgrade.portsOverWebSocket : HTTPUpgrade.commandOverWebSocket)
    let session: (any UpgradedSession)?
    if isPorts {
      session = PortForwardSession(
        upgrade, client: client, pod: resource.name, number: { [unowned self] in nextNumber() },
        ask: { [unowned self, unowned client] port, id in
          var options = PodStreamOptions()
          options.port = port
          var connection = asked
          connection.body = options.json
          door.open(connection, id: id, from: client)
        })
      asked.body = PodStreamOptions().json
    } else {
      let options = PodStreamOptions(target)
      asked.body = options.json
      session = CommandSession(options, upgrade, client: client)
    }
    guard let session else { throw HTTPFailure(503, "no memory for another connection into a pod") }
    client.expect(session)
    door.open(asked, id: nextNumber(), from: client)
  }
}

extension HTTPResource {
  /// The way into a pod that it is.
  var entrance: PodStreamPurpose? { kind == .pods ? PodStreamPurpose(rawValue: subresource) : nil }
}

extension PodStreamOptions {
  /// As Kubernetes reads PodExecOptions and PodAttachOptions from a query.
  init(_ target: HTTPTarget) {
    self.init()
    container = target.text("container") ?? ""
    command = target.texts("command")
    stdin = target.flag("stdin") ?? false
    stdout = target.flag("stdout") ?? false
    stderr = target.flag("stderr") ?? false
    tty = target.flag("tty") ?? false
  }
}
