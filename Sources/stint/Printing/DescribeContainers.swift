// Owns: containers and volumes in descriptions, of pods and of pod templates. Texts are those of kubectl's describer.
// It must not know whose containers they are.

import ClusterProto

extension Describer {
  /// `inner` says that they stand inside a pod template, one step deeper.
  mutating func containers(_ name: String, _ containers: JSON?, statuses: JSON? = nil, inner: Bool = false) {
    let space = inner ? "  " : ""
    let all = containers?.arrayValue ?? []
    if all.isEmpty { return line("\(space)\(name): <none>") }
    line("\(space)\(name):")
    for container in all {
      let label = container["name"]?.stringValue ?? ""
      let status = statuses?.arrayValue?.first { $0["name"]?.stringValue == label }
      line("\(inner ? " " : "")\(label):", 1)
      if status != nil { field("Container ID", status?["containerID"]?.stringValue ?? "", 2) }
      field("Image", container["image"]?.stringValue ?? "", 2)
      if status != nil { field("Image ID", status?["imageID"]?.stringValue ?? "", 2) }
      ports(container)
      words("Command", container["command"])
      words("Args", container["args"])
      if let status { self.status(status) }
      resources(container["resources"])
      probes(container)
      environment(container)
      mounts(container["volumeMounts"])
    }
  }

  private mutating func ports(_ container: JSON) {
    let ports = container["ports"]?.arrayValue ?? []
    func text(_ member: String) -> String {
      let list = ports.map { "\($0[member]?.intValue ?? 0)/\($0["protocol"]?.stringValue ?? "TCP")" }
      return list.isEmpty ? "<none>" : list.joined(separator: ", ")
    }
    field(ports.count > 1 ? "Ports" : "Port", text("containerPort"), 2)
    field(ports.count > 1 ? "Host Ports" : "Host Port", text("hostPort"), 2)
  }

  private mutating func words(_ name: String, _ words: JSON?) {
    guard let words = words?.arrayValue, !words.isEmpty else { return }
    line("\(name):", 2)
    for word in words {
      for part in (word.stringValue ?? "").split(separator: "\n", omittingEmptySubsequences: false) {
        line(String(part).replacing("\t", with: "  "), 3)
      }
    }
  }

  private mutating func status(_ status: JSON) {
    state("State", status["state"])
    if status[path: ["lastState", "terminated"]] != nil { state("Last State", status["lastState"]) }
    field("Ready", status["ready"]?.boolValue == true ? "True" : "False", 2)
    field("Restart Count", String(status["restartCount"]?.intValue ?? 0), 2)
  }

  private mutating func state(_ name: String, _ state: JSON?) {
    if let running = state?["running"] {
      field(name, "Running", 2)
      time("Started", running["startedAt"], 3)
    } else if let ended = state?["terminated"] {
      field(name, "Terminated", 2)
      field("Reason", ended["reason"]?.stringValue.flatMap { $0.isEmpty ? nil : $0 }, 3)
      message(ended["message"])
      field("Exit Code", String(ended["exitCode"]?.intValue ?? 0), 3)
      field("Signal", ended["signal"]?.intValue.flatMap { $0 > 0 ? String($0) : nil }, 3)
      time("Started", ended["startedAt"], 3)
      time("Finished", ended["finishedAt"], 3)
    } else {
      field(name, "Waiting", 2)
      field("Reason", state?[path: ["waiting", "reason"]]?.stringValue, 3)
      // kubectl leaves the message out; it is what a person needs.
      message(state?[path: ["waiting", "message"]])
    }
  }

  /// Every line of it: nothing is cut where everything is told.
  private mutating func message(_ message: JSON?) {
    let text = EventText.message(["message": message ?? ""])
    guard !text.isEmpty else { return }
    for (position, part) in text.split(whereSeparator: \.isNewline).enumerated() {
      let cell = TablePrinter.cell(.string(String(part)))
      if position == 0 { field("Message", cell, 3) } else { line("\t\(cell)", 3) }
    }
  }

  private mutating func resources(_ resources: JSON?) {
    for (name, member) in [("Limits", "limits"), ("Requests", "requests")] {
      guard let amounts = resources?[member]?.objectValue, !amounts.isEmpty else { continue }
      line("\(name):", 2)
      for (resource, amount) in amounts { field(resource, amount.stringValue ?? amount.text, 3) }
    }
  }

  private mutating func probes(_ container: JSON) {
    for (name, member) in [("Liveness", "livenessProbe"), ("Readiness", "readinessProbe"), ("Startup", "startupProbe")]
    {
      guard let probe = container[member], let spec = ProbeSpec(json: probe) else { continue }
      let action =
        switch spec.action {
        case .exec(let command): "exec [\(command.joined(separator: " "))]"
        case .get(let get): "http-get \(get.url)"
        case .connect(let host, let port): "tcp-socket \(CareAction.place(host, port))"
        case .pause: ""
        }
      field(
        name,
        "\(action) delay=\(spec.initialDelaySeconds)s timeout=\(spec.timeoutSeconds)s period=\(spec.periodSeconds)s "
          + "#success=\(spec.successThreshold) #failure=\(spec.failureThreshold)", 2)
    }
  }

  private mutating func environment(_ container: JSON) {
    let sources = container["envFrom"]?.arrayValue ?? []
    if !sources.isEmpty {
      line("Environment Variables from:", 2)
      for source in sources {
        let (kind, reference) =
          source["configMapRef"].map { ("ConfigMap", $0) } ?? ("Secret", source["secretRef"] ?? .null)
        let prefix = source["prefix"]?.stringValue.flatMap { $0.isEmpty ? nil : " with prefix '\($0)'" } ?? ""
        line("\(Describer.name(reference))\t\(kind)\(prefix)\tOptional: \(Describer.isOptional(reference))", 3)
      }
    }
    let variables = container["env"]?.arrayValue ?? []
    line(variables.isEmpty ? "Environment:\t<none>" : "Environment:", 2)
    for variable in variables {
      let name = variable["name"]?.stringValue ?? ""
      guard let source = variable["valueFrom"] else {
        let lines = (variable["value"]?.stringValue ?? "").split(separator: "\n", omittingEmptySubsequences: false)
        for (position, part) in lines.enumerated() { line("\(position == 0 ? "\(name):" : "")\t\(part)", 3) }
        continue
      }
      line("\(name):\t\(Describer.source(source))", 3)
    }
  }

  private static func source(_ source: JSON) -> String {
    if let field = source["fieldRef"] {
      return " (\(field["apiVersion"]?.stringValue ?? "v1"):\(field["fieldPath"]?.stringValue ?? ""))"
    }
    if let key = source["configMapKeyRef"] {
      let text = "<set to the key '\(key["key"]?.stringValue ?? "")' of config map '\(name(key))'>"
      return "\(text)\tOptional: \(isOptional(key))"
    }
    if let key = source["secretKeyRef"] {
      let text = "<set to the key '\(key["key"]?.stringValue ?? "")' in secret '\(name(key))'>"
      return "\(text)\tOptional: \(isOptional(key))"
    }
    return source[path: ["resourceFieldRef", "resource"]]?.stringValue.map { " (\($0))" } ?? ""
  }

  private static func name(_ reference: JSON) -> String { reference["name"]?.stringValue ?? "" }
  private static func isOptional(_ reference: JSON) -> Bool { reference["optional"]?.boolValue ?? false }

  private mutating func mounts(_ mounts: JSON?) {
    let sorted = (mounts?.arrayValue ?? []).sorted {
      ($0["mountPath"]?.stringValue ?? "") < ($1["mountPath"]?.stringValue ?? "")
    }
    line(sorted.isEmpty ? "Mounts:\t<none>" : "Mounts:", 2)
    for mount in sorted {
      var flags = [mount["readOnly"]?.boolValue == true ? "ro" : "rw"]
      if let path = mount["subPath"]?.stringValue, !path.isEmpty { flags.append("path=\"\(path)\"") }
      let path = mount["mountPath"]?.stringValue ?? ""
      line("\(path) from \(Describer.name(mount)) (\(flags.joined(separator: ",")))", 3)
    }
  }

  mutating func volumes(_ volumes: JSON?, inner: Bool = false) {
    let space = inner ? "  " : ""
    let all = volumes?.arrayValue ?? []
    if all.isEmpty { return line("\(space)Volumes:\t<none>") }
    line("\(space)Volumes:")
    for volume in all {
      line("\(inner ? " " : "")\(Describer.name(volume)):", 1)
      if let path = volume["hostPath"] {
        field("Type", "HostPath (bare host directory volume)", 2)
        field("Path", path["path"]?.stringValue ?? "", 2)
        field("HostPathType", path["type"]?.stringValue ?? "", 2)
      } else if let empty = volume["emptyDir"] {
        field("Type", "EmptyDir (a temporary directory that shares a pod's lifetime)", 2)
        field("Medium", empty["medium"]?.stringValue ?? "", 2)
        field("SizeLimit", empty["sizeLimit"]?.stringValue ?? "<unset>", 2)
      } else if let map = volume["configMap"] {
        field("Type", "ConfigMap (a volume populated by a ConfigMap)", 2)
        field("Name", Describer.name(map), 2)
        field("Optional", String(Describer.isOptional(map)), 2)
      } else if let secret = volume["secret"] {
        field("Type", "Secret (a volume populated by a Secret)", 2)
        field("SecretName", secret["secretName"]?.stringValue ?? "", 2)
        field("Optional", String(Describer.isOptional(secret)), 2)
      } else if let downward = volume["downwardAPI"] {
        field("Type", "DownwardAPI (a volume populated by information about the pod)", 2)
        line("Items:", 2)
        for item in downward["items"]?.arrayValue ?? [] {
          let value = item[path: ["fieldRef", "fieldPath"]] ?? item[path: ["resourceFieldRef", "resource"]]
          line("\(value?.stringValue ?? "") -> \(item["path"]?.stringValue ?? "")", 3)
        }
      } else if let projected = volume["projected"] {
        self.projected(projected)
      } else {
        line("<unknown>", 2)
      }
    }
  }

  private mutating func projected(_ projected: JSON) {
    field("Type", "Projected (a volume that contains injected data from multiple sources)", 2)
    func optional(_ source: JSON) -> String { source["optional"]?.boolValue.map { String($0) } ?? "<nil>" }
    for source in projected["sources"]?.arrayValue ?? [] {
      if let secret = source["secret"] {
        field("SecretName", Describer.name(secret), 2)
        field("SecretOptionalName", optional(secret), 2)
      } else if source["downwardAPI"] != nil {
        field("DownwardAPI", "true", 2)
      } else if let token = source["serviceAccountToken"] {
        field("TokenExpirationSeconds", token["expirationSeconds"]?.text, 2)
      } else if let map = source["configMap"] {
        field("ConfigMapName", Describer.name(map), 2)
        field("ConfigMapOptional", optional(map), 2)
      }
    }
  }
}
