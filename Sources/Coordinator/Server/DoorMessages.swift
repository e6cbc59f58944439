// Owns: what connections of the native protocol say after their hello, by role, on its way to the core. It must not
// know what the core makes of it.

import ClusterIO
import ClusterProto
import CoordinatorCore

extension Door {
  func receive(_ message: JSON, from peer: Peer) throws(ProtocolError) {
    if case .joiner = peer.stage { return try join(message, from: peer) }
    let isAgent = if case .agent = peer.stage { true } else { false }
    try Self.checkType(of: message, isAgent: isAgent)
    let parsed: ClientMessage
    do throws(MessageError) {
      if isAgent, message["type"] == "renew" { return try renew(RenewRequest(json: message), of: peer) }
      if isAgent { return post(peer, .agent(peer.session, try AgentMessage(json: message)), nil) }
      parsed = try ClientMessage(json: message)
    } catch {
      throw ProtocolError(.malformed, error.description)
    }
    if !peer.token.isEmpty { peer.subject = try bearer(of: peer.token, peer) }
    switch parsed {
    case .request(let id, let request): try open(request, id: id, from: peer)
    case .joining(let id, let request):
      guard try mayOpen(id, on: peer) else { return }
      post(peer, .joining(register(peer, id: id), by: peer.subject, request), peer.lane)
    case .users(let id, let request):
      guard try mayOpen(id, on: peer) else { return }
      open(request, register(peer, id: id), from: peer)
    case .authority(let id, let request):
      guard try mayOpen(id, on: peer) else { return }
      post(peer, .authority(register(peer, id: id), by: peer.subject, request), peer.lane)
    case .cancel(let id):
      guard let request = peer.requests[id] else { return }
      cancel(request)
    }
  }

  /// Who may say what.
  private static let agentTypes = AgentMessage.Name.allCases.map(\.rawValue) + ["renew"]
  private static let clientTypes = ["request", "joining", "users", "authority", "cancel"]

  /// A type of the other role is a mistake; one that nobody knows may come from a newer version, and the connection
  /// stays.
  private static func checkType(of message: JSON, isAgent: Bool) throws(ProtocolError) {
    guard let type = message["type"]?.stringValue else { throw .missing("type", in: "(unknown)") }
    let known = isAgent ? agentTypes : clientTypes
    if known.contains(type) { return }
    let isOthers = (isAgent ? clientTypes : agentTypes).contains(type)
    throw ProtocolError(
      isOthers ? .unexpected : .unknownType,
      "message type \(type.prefix(64)) is none of \(isAgent ? "an agent" : "a client")'s: "
        + known.joined(separator: ", "))
  }

  /// Whether the connection may have one more request; one that has too many is told so.
  private func mayOpen(_ id: Int64, on peer: Peer) throws(ProtocolError) -> Bool {
    guard peer.requests[id] == nil else {
      throw ProtocolError(.unexpected, "request \(id) is open already")
    }
    if peer.requests.count < Self.requestLimit { return true }
    let status = ReplyStatus.failure(code: 429, message: "too many open requests on this connection")
    peer.send(ClientReply(id: id, reply: .done(code: 429, object: status, warnings: [])).json)
    return false
  }

  private func open(_ request: APIRequest, id: Int64, from peer: Peer) throws(ProtocolError) {
    guard try mayOpen(id, on: peer) else { return }
    var request = request
    request.subject = peer.subject
    post(peer, .request(register(peer, id: id), request), peer.lane)
  }

  /// A certificate's key is looked at before the core hears of it; of who may not ask nothing is, the core says so.
  private func open(_ request: UserRequest, _ number: RequestID, from peer: Peer) {
    var key = ""
    if case .create(_, _, _, let text) = request, authorize(peer.subject, request.access) == .allowed {
      do throws(IOError) {
        key = try SigningRequests.keyDigest(ofRequest: Array(text.utf8))
      } catch {
        let status = ReplyStatus.failure(code: 400, message: "the signing request: \(error)")
        return reply(.done(code: 400, object: status, warnings: []), to: number)
      }
    }
    post(peer, .users(number, by: peer.subject, request, key: key), peer.lane)
  }

  // Machines and their certificates.

  /// A joiner's one message. Its signature is looked at before the core hears of it.
  private func join(_ message: JSON, from peer: Peer) throws(ProtocolError) {
    guard message["type"] == "join", peer.requests.isEmpty else {
      throw ProtocolError(.unexpected, "who has no certificate says one thing: join")
    }
    do {
      let request = try JoinRequest(json: message)
      let key = try SigningRequests.keyDigest(ofRequest: Array(request.request.utf8))
      post(peer, .join(register(peer, id: 0), request, key: key), peer.lane)
    } catch let error as MessageError {
      throw ProtocolError(.malformed, error.description)
    } catch {
      throw ProtocolError(.malformed, "the signing request: \(error)")
    }
  }

  private func renew(_ request: RenewRequest, of peer: Peer) {
    do throws(IOError) {
      let key = try SigningRequests.keyDigest(ofRequest: Array(request.request.utf8))
      post(peer, .renew(peer.session, key: key, request: request.request), nil)
    } catch {
      peer.send(RenewAnswer.refused(reason: "the signing request: \(error)").json)
    }
  }
}
