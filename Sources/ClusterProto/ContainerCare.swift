// Owns: what a container asks for while it runs: its probes and the hooks of its life. Read from a pod's spec, and
// carried in a plan with ports and hosts filled in. It must not know who carries them out, nor when.

/// What a probe or hook does.
package enum CareAction: Equatable, Sendable {
  /// A port by its number, or by the name that the container gives it.
  package enum Port: Equatable, Sendable {
    case number(Int64)
    case name(String)
  }

  /// A GET.
  package struct Get: Equatable, Sendable {
    /// HTTPS, whoever the server proves to be.
    package var isSecure: Bool
    /// Where; empty: the pod's address.
    package var host: String
    /// Its port.
    package var port: Port
    /// Path and query as written.
    package var path: String
    /// More headers, in their order.
    package var headers: [Header]

    /// Takes each value as it stands.
    package init(isSecure: Bool = false, host: String, port: Port, path: String = "/", headers: [Header] = []) {
      self.isSecure = isSecure
      self.host = host
      self.port = port
      self.path = path
      self.headers = headers
    }
  }

  /// A line of a request's head.
  package struct Header: Equatable, Sendable {
    /// Its name as written.
    package var name: String
    /// What it says.
    package var value: String

    /// Takes both as they stand.
    package init(name: String, value: String) {
      self.name = name
      self.value = value
    }
  }

  /// A command in the container, not by a shell.
  case exec([String])
  case get(Get)
  /// A connection to there. Kubernetes has no such hook, and takes it in manifests.
  case connect(host: String, port: Port)
  /// Only a hook: nothing, for so long.
  case pause(seconds: Int64)

  /// nil: there is none that is carried out.
  package init?(json: JSON?) {
    guard let json else { return nil }
    func port(_ json: JSON?) -> Port { json?.stringValue.map { .name($0) } ?? .number(json?.intValue ?? 0) }
    if let command = json[path: ["exec", "command"]]?.arrayValue {
      self = .exec(command.compactMap(\.stringValue))
    } else if let get = json["httpGet"] {
      let headers = (get["httpHeaders"]?.arrayValue ?? []).map {
        Header(name: $0["name"]?.stringValue ?? "", value: $0["value"]?.stringValue ?? "")
      }
      self = .get(
        Get(
          isSecure: get["scheme"]?.stringValue == "HTTPS", host: get["host"]?.stringValue ?? "",
          port: port(get["port"]), path: get["path"]?.stringValue ?? "/", headers: headers))
    } else if let socket = json["tcpSocket"] {
      self = .connect(host: socket["host"]?.stringValue ?? "", port: port(socket["port"]))
    } else if let sleep = json["sleep"] {
      self = .pause(seconds: max(0, sleep["seconds"]?.intValue ?? 0))
    } else {
      return nil
    }
  }

  /// As the API shows it.
  package var json: JSON {
    func json(_ port: Port) -> JSON {
      switch port {
      case .number(let number): .int(number)
      case .name(let name): .string(name)
      }
    }
    switch self {
    case .exec(let command): return ["exec": ["command": .strings(command)]]
    case .get(let get):
      var body: JSON = [
        "path": .string(get.path), "port": json(get.port), "scheme": .string(get.isSecure ? "HTTPS" : "HTTP"),
      ]
      if !get.host.isEmpty { body["host"] = .string(get.host) }
      if !get.headers.isEmpty {
        body["httpHeaders"] = .array(get.headers.map { ["name": .string($0.name), "value": .string($0.value)] })
      }
      return ["httpGet": body]
    case .connect(let host, let port):
      var body: JSON = ["port": json(port)]
      if !host.isEmpty { body["host"] = .string(host) }
      return ["tcpSocket": body]
    case .pause(let seconds): return ["sleep": ["seconds": .int(seconds)]]
    }
  }

  /// Bytes of its texts.
  package var length: Int {
    switch self {
    case .exec(let command): command.reduce(0) { $0 + $1.utf8.count + 1 }
    case .get(let get):
      get.headers.reduce(get.host.utf8.count + get.path.utf8.count) {
        $0 + $1.name.utf8.count + $1.value.utf8.count
      }
    case .connect(let host, _): host.utf8.count
    case .pause: 0
    }
  }
}

extension CareAction {
  /// `HOST:PORT`, as Go writes it.
  package static func place(_ host: String, _ port: Port) -> String {
    let number =
      switch port {
      case .number(let number): String(number)
      case .name(let name): name
      }
    return host.contains(":") ? "[\(host)]:\(number)" : "\(host):\(number)"
  }
}

extension CareAction.Get {
  /// The whole address.
  package var url: String {
    let path = path.hasPrefix("/") ? path : "/" + path
    return "\(isSecure ? "https" : "http")://\(CareAction.place(host, port))\(path)"
  }
}

/// A question that is put to a container again and again. Times in seconds, as the API has them.
package struct ProbeSpec: Equatable, Sendable {
  /// How it is asked.
  package var action: CareAction
  /// Not before the container has run for so long.
  package var initialDelaySeconds: Int64
  /// An answer that takes longer is a failure; at least 1.
  package var timeoutSeconds: Int64
  /// From one to the next; at least 1.
  package var periodSeconds: Int64
  /// So many successes in a row count as one; at least 1.
  package var successThreshold: Int64
  /// So many failures in a row count as one; at least 1.
  package var failureThreshold: Int64
  /// The grace of who is killed for it; nil: the pod's.
  package var terminationGracePeriodSeconds: Int64?

  /// Takes each value as it stands; the defaults are Kubernetes'.
  package init(
    action: CareAction, initialDelaySeconds: Int64 = 0, timeoutSeconds: Int64 = 1, periodSeconds: Int64 = 10,
    successThreshold: Int64 = 1, failureThreshold: Int64 = 3, terminationGracePeriodSeconds: Int64? = nil
  ) {
    self.action = action
    self.initialDelaySeconds = initialDelaySeconds
    self.timeoutSeconds = timeoutSeconds
    self.periodSeconds = periodSeconds
    self.successThreshold = successThreshold
    self.failureThreshold = failureThreshold
    self.terminationGracePeriodSeconds = terminationGracePeriodSeconds
  }

  /// nil: there is none that is carried out. What is 0 has its default, as in Kubernetes.
  package init?(json: JSON?) {
    guard let json, let action = CareAction(json: json) else { return nil }
    func number(_ name: String, _ usual: Int64) -> Int64 {
      let given = json[name]?.intValue ?? 0
      return given <= 0 ? usual : min(given, Int64(Int32.max))
    }
    self.init(
      action: action, initialDelaySeconds: number("initialDelaySeconds", 0),
      timeoutSeconds: number("timeoutSeconds", 1), periodSeconds: number("periodSeconds", 10),
      successThreshold: number("successThreshold", 1), failureThreshold: number("failureThreshold", 3),
      terminationGracePeriodSeconds: json["terminationGracePeriodSeconds"]?.intValue.map {
        max(1, min($0, Int64(Int32.max)))
      })
  }

  /// As the API shows it.
  package var json: JSON {
    var result = action.json
    result["initialDelaySeconds"] = .int(initialDelaySeconds)
    result["timeoutSeconds"] = .int(timeoutSeconds)
    result["periodSeconds"] = .int(periodSeconds)
    result["successThreshold"] = .int(successThreshold)
    result["failureThreshold"] = .int(failureThreshold)
    if let terminationGracePeriodSeconds {
      result["terminationGracePeriodSeconds"] = .int(terminationGracePeriodSeconds)
    }
    return result
  }
}

/// A container's probes and hooks. Only the four that there are, each under its name in the API.
package struct ContainerCare: Equatable, Sendable {
  /// Whether it has come up: nothing else is asked before.
  package var startup: ProbeSpec?
  /// Whether it still works.
  package var liveness: ProbeSpec?
  /// Whether it can serve.
  package var readiness: ProbeSpec?
  /// Right after its start; it counts as running once this is done.
  package var postStart: CareAction?
  /// Before it is told to end.
  package var preStop: CareAction?
  /// In a plan: the pod's address, where an action names none.
  package var podAddress = ""

  /// None.
  package init() {}

  /// Of a container as the API shows it.
  package init(json: JSON) {
    startup = ProbeSpec(json: json["startupProbe"])
    liveness = ProbeSpec(json: json["livenessProbe"])
    readiness = ProbeSpec(json: json["readinessProbe"])
    postStart = CareAction(json: json[path: ["lifecycle", "postStart"]])
    preStop = CareAction(json: json[path: ["lifecycle", "preStop"]])
    podAddress = json["podAddress"]?.stringValue ?? ""
  }

  /// There is nothing to do.
  package var isEmpty: Bool { self == ContainerCare() }

  /// With the members that a container has for it.
  package var json: JSON {
    var result: JSON = .object(JSONObject())
    if let startup { result["startupProbe"] = startup.json }
    if let liveness { result["livenessProbe"] = liveness.json }
    if let readiness { result["readinessProbe"] = readiness.json }
    var lifecycle: JSON = .object(JSONObject())
    if let postStart { lifecycle["postStart"] = postStart.json }
    if let preStop { lifecycle["preStop"] = preStop.json }
    if postStart != nil || preStop != nil { result["lifecycle"] = lifecycle }
    if !podAddress.isEmpty { result["podAddress"] = .string(podAddress) }
    return result
  }

  /// All of its actions changed in the same way; of probes' `isProbe` holds.
  package func mapping(_ change: (CareAction, _ isProbe: Bool) -> CareAction) -> ContainerCare {
    func changed(_ probe: ProbeSpec?) -> ProbeSpec? {
      guard var probe else { return nil }
      probe.action = change(probe.action, true)
      return probe
    }
    var result = self
    result.startup = changed(startup)
    result.liveness = changed(liveness)
    result.readiness = changed(readiness)
    result.postStart = postStart.map { change($0, false) }
    result.preStop = preStop.map { change($0, false) }
    return result
  }

  /// Its actions, probes first.
  package var actions: [CareAction] {
    [startup?.action, liveness?.action, readiness?.action, postStart, preStop].compactMap { $0 }
  }
}
