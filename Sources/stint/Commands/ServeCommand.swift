// Owns: the commands that become a long-running program: their flags become its options.
// It must not know how the programs work.

import AgentCore
import ClusterIO
import ClusterProto
import Coordinator
import CoordinatorCore
import Glibc
import NodeAgent

/// `stint coordinator`, `agent`, `keeper`.
enum ServeCommand {
  @Sendable static func coordinator(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    var options = ServerOptions(directory: try required("data", arguments))
    options.listen = try address("listen", arguments, Endpoint.nativePort) ?? options.listen
    if let api = try address("api", arguments, Endpoint.apiPort) {
      options.api = api
    } else if case .tcp(let host, let port) = options.listen {
      // Beside the native protocol. A second cluster on this machine does not fight the first for its port.
      options.api = .tcp(host: host, port: port == Endpoint.nativePort ? Endpoint.apiPort : 0)
      options.apiMayMove = true
    }
    options.advertise = arguments.values("advertise")
    options.configuration.version = Version.current
    options.configuration.zones = ZoneFiles.read()
    options.isMoved = arguments.isOn("moved")
    options.acceptsNewAuthority = arguments.isOn("new-authority")
    options.acceptsLoss = arguments.isOn("accept-loss")
    options.configuration.chargeLostAttempts = arguments.isOn("charge-lost-attempts")
    if let limit = arguments.integer("terminated-pod-gc-threshold") {
      options.configuration.terminatedPodLimit = Int(clamping: limit)
    }
    if let life = arguments.milliseconds("node-certificate-lifetime") {
      options.configuration.nodeCertificateMilliseconds = life
    }
    try setTiming(&options.configuration, arguments)
    do {
      // Its start reads and writes the store before anybody is served.
      let directory = options.directory
      let notice = DiskNotice { waits in
        let line = "stint coordinator: waiting for the disk of \(directory) \(waits): \(ProcessTrouble.advice)"
        LineWriter.standardError.write(line)
      }
      defer { notice.end() }
      let server = try CoordinatorServer(options)
      notice.end()
      try server.run()
      return 0
    } catch {
      throw CommandError("error: \(error)")
    }
  }

  /// Where to listen, as a flag says it; nil without the flag.
  static func address(_ flag: String, _ arguments: Arguments, _ defaultPort: UInt16) throws -> SocketAddress? {
    guard let text = arguments.value(flag) else { return nil }
    guard let address = SocketAddress(parsing: text, defaultPort: defaultPort), address.isNumeric else {
      throw arguments.problem(
        "--\(flag): \"\(text)\" is not ADDRESS[:PORT]; an IPv6 address with a port is [ADDRESS]:PORT")
    }
    return address
  }

  /// Timing flags, checked against each other.
  static func setTiming(_ configuration: inout CoordinatorConfiguration, _ arguments: Arguments) throws {
    if let beat = arguments.milliseconds("heartbeat-interval") { configuration.heartbeatMilliseconds = beat }
    if let lease = arguments.milliseconds("lease-duration") { configuration.leaseMilliseconds = lease }
    if let toleration = arguments.milliseconds("default-unreachable-toleration") {
      configuration.defaultTolerationSeconds = (toleration + 999) / 1_000
    }
    guard configuration.leaseMilliseconds >= configuration.heartbeatMilliseconds * 2 else {
      throw arguments.problem(
        "--lease-duration must be at least twice the heartbeat interval, or one late answer would stop a node's pods")
    }
  }

  @Sendable static func agent(_ context: Context) throws -> Int32 {
    let arguments = context.arguments
    let data = AgentJoin.data(context)
    let authority = arguments.value("authority").map(absolute)
    // Until the loop runs: from then on the agent looks after its disk itself.
    let notice = DiskNotice { waits in
      let line = "stint agent: waiting for the disk of \(data), or of what it names, \(waits): \(ProcessTrouble.advice)"
      LineWriter.standardError.write(line)
    }
    defer { notice.end() }
    if arguments.isOn("stop") {
      _ = try AgentJoin.token(context, hasJoined: true)
      return try AgentStop.run(data: data, console: context.console)
    }
    let joined = try AgentJoin.identity(data: data, isIssued: authority != nil)
    let (token, joinProblem) = try AgentJoin.token(context, hasJoined: joined != nil)
    let known = authority == nil ? joined.map { $0.node ?? "?" } : nil
    var options = AgentOptions(
      coordinators: try AgentJoin.coordinators(context, token, node: known, data: data),
      name: try nodeName(arguments, joined: joined?.node), data: data)
    options.authority = authority
    options.join = token
    options.joinProblem = joinProblem
    options.cpuMillicores = arguments.value("cpu").flatMap { Quantity.parseMillis($0) }
    options.memoryBytes = arguments.value("memory").flatMap { Quantity.parseBytes($0) }
    options.pods = arguments.integer("pods") ?? options.pods
    options.reserved = try AgentResources.reserve(arguments)
    options.devices = try AgentResources.offers(arguments)
    if let most = arguments.integer("pod-pids-limit"), most != -1 {
      guard most > 0 else { throw arguments.problem("--pod-pids-limit: with 0 no container starts: -1 is no limit") }
      options.podProcesses = most
    }
    options.labels = try labels(arguments, node: options.name)
    if let address = arguments.value("node-ip") {
      guard let address = SocketAddress.canonicalAddress(address),
        !SocketAddress.tcp(host: address, port: 0).isUnspecified
      else { throw arguments.problem("--node-ip: \"\(address)\" is no IP address of a machine") }
      options.nodeIP = address
    }
    options.podUser = arguments.value("pod-user")
    if let user = options.podUser {
      // The keeper would refuse it, again at each start.
      guard PodUser(named: user) != nil else {
        throw arguments.problem("--pod-user: there is no user \"\(user)\" on this machine")
      }
    }
    options.logLimit = logLimit(arguments) ?? options.logLimit
    options.images = images(arguments)
    options.frozenKillMilliseconds = arguments.milliseconds("frozen-kill") ?? options.frozenKillMilliseconds
    options.eviction = try AgentResources.eviction(arguments)
    let machine = try MachineFacts.read(fallbackMachineID: "")
    if let problem = AgentResources.problem(options.eviction, .read(memory: machine.memory, data: data)) {
      throw arguments.problem(problem)
    }
    if joined == nil, token == nil, options.authority == nil {
      throw CommandError(
        "error: this machine is no node yet: stint token create, on the coordinator's machine, prints the command that "
          + "makes it one")
    }
    options.version = Version.current
    options.onStart = { notice.end() }
    return AgentHost.run(options)
  }

  @Sendable static func keeper(_ context: Context) throws -> Int32 {
    var options = KeeperOptions(data: try required("data", context.arguments))
    options.podUser = context.arguments.value("pod-user")
    options.logLimit = logLimit(context.arguments) ?? options.logLimit
    options.frozenKillMilliseconds = context.arguments.milliseconds("frozen-kill") ?? options.frozenKillMilliseconds
    return KeeperHost.run(options)
  }

  /// A path that stays right whatever the program's directory becomes.
  private static func required(_ flag: String, _ arguments: Arguments) throws -> String {
    guard let path = arguments.value(flag), !path.isEmpty else { throw arguments.problem("--\(flag) is required") }
    return absolute(path)
  }

  static func absolute(_ path: String) -> String {
    if path.hasPrefix("/") { return path }
    guard let here = getcwd(nil, 0) else { return path }
    defer { free(here) }
    return "\(String(cString: here))/\(path)"
  }

  private static func nodeName(_ arguments: Arguments, joined: String?) throws -> String {
    if let name = arguments.value("name") ?? joined {
      if let problem = Names.nodeProblem(name) { throw arguments.problem("--name: \(problem)") }
      return name
    }
    let host = try MachineFacts.read(fallbackMachineID: "").hostname.lowercased()
    if let problem = Names.nodeProblem(host) {
      throw CommandError("error: this machine's host name \(problem). Give the node another name with --name")
    }
    return host
  }

  /// What the coordinator would refuse once the machine has joined is refused before.
  private static func labels(_ arguments: Arguments, node: String) throws -> StringMap {
    var labels = StringMap()
    for label in arguments.values("label") {
      let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw arguments.problem("--label: \"\(label)\" is not KEY=VALUE")
      }
      if let error = Names.labelKeyErrors(parts[0]).first ?? Names.labelValueErrors(parts[1]).first {
        let advice = parts[1].contains(",") ? "; give --label once for each label" : ""
        throw arguments.problem("--label: \"\(label)\": \(error)\(advice)")
      }
      if parts[0] == "kubernetes.io/hostname", parts[1] != node {
        throw arguments.problem("--label: \"\(label)\": this label is the node's name, \(node): change it with --name")
      }
      labels[parts[0]] = parts[1]
    }
    return labels
  }

  private static func images(_ arguments: Arguments) -> ImageSettings {
    var settings = ImageSettings()
    settings.mode =
      arguments.value("images").flatMap { ImageMode(rawValue: $0) } ?? ImageMode.usual(asRoot: geteuid() == 0)
    if let most = arguments.integer("max-parallel-pulls") { settings.parallelPulls = Int(most) }
    settings.maximumAgeMilliseconds = arguments.milliseconds("image-maximum-age") ?? settings.maximumAgeMilliseconds
    return settings
  }

  static func logLimit(_ arguments: Arguments) -> Int64? {
    arguments.value("log-limit").flatMap { Quantity.parseBytes($0) }
  }
}
