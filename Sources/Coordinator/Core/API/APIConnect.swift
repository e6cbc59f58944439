// connect: into which container of which attempt a client may, or Kubernetes' words for why not. The bytes go past the
// core; whether the container runs at this moment is its agent's to say.

import ClusterProto

extension CoordinatorCore {
  mutating func connect(_ request: APIRequest, _ id: RequestID) throws(APIFailure) {
    guard request.kind == .pods, let purpose = PodStreamPurpose(rawValue: request.subresource) else {
      throw .noSuchResource
    }
    guard case .pod(let pod)? = state[reference(request)] else { throw .notFound(.pods, request.name) }
    guard !request.options.dryRun else { throw .badRequest("a dry run enters no pod") }
    var options = try streamOptions(request)
    try check(options, purpose)
    if purpose == .portforward {
      options.container = ""
    } else {
      options.container = try containerName(options.container, pod)
    }
    // Its agent may know it no more.
    if pod.status.phase.isTerminal {
      throw Self.unenterable("cannot enter a completed pod; current phase is \(pod.status.phase.rawValue)")
    }
    switch logTarget(forPod: pod.meta.key) {
    case .unreachable(let why):
      if pod.nodeName == nil || pod.status.fencingToken == nil {
        throw .badRequest("pod \(pod.meta.name) does not have a host assigned")
      }
      throw Self.unenterable(why)
    case .agent(let session, let attempt):
      if purpose == .portforward, options.port == 0 {
        return outputs.append(.reply(id, .done(code: 200, object: options.json, warnings: [])))
      }
      outputs.append(
        .startStream(
          id, session,
          PodStreamRequest(stream: String(id), attempt: attempt, purpose: purpose, options: options)))
    }
  }

  private static func unenterable(_ why: String) -> APIFailure {
    APIFailure(code: 500, reason: "InternalError", message: why, details: ["causes": [["message": .string(why)]]])
  }

  private func streamOptions(_ request: APIRequest) throws(APIFailure) -> PodStreamOptions {
    do throws(MessageError) {
      return try PodStreamOptions(json: request.body ?? .object(JSONObject()), "options")
    } catch {
      throw .badRequest(error.description)
    }
  }

  private func check(_ options: PodStreamOptions, _ purpose: PodStreamPurpose) throws(APIFailure) {
    if purpose == .portforward {
      guard (0...65_535).contains(options.port) else {
        throw .badRequest("\(options.port) is no port: it must be between 1 and 65535, inclusive")
      }
      return
    }
    guard options.port == 0 else { throw .badRequest("\(purpose.rawValue) takes no port") }
    guard options.stdin || options.stdout || options.stderr else {
      throw .badRequest("you must specify at least 1 of stdin, stdout, stderr")
    }
    guard purpose == .exec else { return }
    guard options.command.first?.isEmpty == false else { throw .badRequest("you must specify a command") }
    guard options.command.reduce(0, { $0 + $1.utf8.count + 1 }) <= PodStreamOptions.commandLimit else {
      throw .badRequest("the command has more than \(PodStreamOptions.commandLimit) bytes")
    }
    guard options.command.allSatisfy({ !$0.utf8.contains(0) }) else {
      throw .badRequest("an argument of the command has a NUL byte")
    }
  }
}
