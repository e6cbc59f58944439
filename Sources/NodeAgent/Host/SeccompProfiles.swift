// Seccomp profiles that the node's people have put on it (`Localhost`), in the form of the OCI runtime specification,
// compiled by libseccomp. What a profile says that is not understood is an error: without it the filter would be
// another. Slow work, as a disk may be. Knows no containers.

import CSeccomp
import ClusterIO
import ClusterProto
import Glibc

enum SeccompProfiles {
  private static let limit = 1 << 20

  /// The compiled filter of a file, as `struct sock_filter` each.
  static func filter(_ path: String) throws(IOError) -> [UInt8] {
    let bytes = try Files.read(path, limit: limit)
    var limits = JSONLimits.standard
    limits.keepsLargeNumbers = true
    guard let json = try? JSON(parsing: bytes, limits: limits) else {
      throw IOError(operation: "load seccomp profile", subject: path, message: "it is no JSON")
    }
    return try SeccompProfile(json: json, path).compile()
  }
}

/// One profile.
private struct SeccompProfile {
  private let json: JSON
  private let path: String
  private static let members: Set<String> = [
    "defaultAction", "defaultErrnoRet", "architectures", "flags", "syscalls", "comment",
  ]
  private static let ruleMembers: Set<String> = ["names", "action", "errnoRet", "args", "comment"]
  private static let most = 10_000

  init(json: JSON, _ path: String) {
    self.json = json
    self.path = path
  }

  func compile() throws(IOError) -> [UInt8] {
    try check(json, Self.members, "it")
    guard let standard = json["defaultAction"]?.stringValue else { throw problem("it has no defaultAction") }
    guard let context = seccomp_init(try action(standard, json["defaultErrnoRet"])) else {
      throw problem("libseccomp fails")
    }
    defer { seccomp_release(context) }
    _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0)
    _ = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2)
    for name in json["architectures"]?.arrayValue ?? [] { try addArchitecture(name, context) }
    let rules = json["syscalls"]?.arrayValue ?? []
    guard rules.count <= Self.most else { throw problem("it has more than \(Self.most) rules") }
    for rule in rules { try add(rule, context) }
    do throws(IOError) {
      return try SeccompFilters.export(context)
    } catch {
      throw problem(error.description)
    }
  }

  private func addArchitecture(_ json: JSON, _ context: scmp_filter_ctx) throws(IOError) {
    let name = json.stringValue ?? ""
    let token = seccomp_arch_resolve_name(
      name.hasPrefix("SCMP_ARCH_") ? name.dropFirst(10).lowercased() : "no architecture")
    guard token != 0 else { throw problem("it names the architecture \(json.text), which libseccomp does not know") }
    let result = seccomp_arch_add(context, token)
    // The machine's own is always there.
    guard result == 0 || result == -EEXIST else { throw problem("\(name): \(IOError.text(-result))") }
  }

  private func add(_ rule: JSON, _ context: scmp_filter_ctx) throws(IOError) {
    try check(rule, Self.ruleMembers, "a rule")
    guard let word = rule["action"]?.stringValue else { throw problem("a rule has no action") }
    let names = (rule["names"]?.arrayValue ?? []).compactMap(\.stringValue)
    guard !names.isEmpty else { throw problem("a rule has no names") }
    let action = try action(word, rule["errnoRet"])
    var arguments: [scmp_arg_cmp] = []
    for argument in rule["args"]?.arrayValue ?? [] { arguments.append(try comparison(argument)) }
    for name in names {
      let number = seccomp_syscall_resolve_name(name)
      // As runtimes do: a call that this libseccomp does not know is under the default.
      guard number != -1 else { continue }
      let result = seccomp_rule_add_array(context, action, number, UInt32(arguments.count), arguments)
      // A rule that says what the default says changes nothing.
      guard result == 0 || result == -EACCES || result == -EPERM || result == -EEXIST else {
        throw problem("the rule for \(name): \(IOError.text(-result))")
      }
    }
  }

  private func comparison(_ json: JSON) throws(IOError) -> scmp_arg_cmp {
    let operations: [String: scmp_compare] = [
      "SCMP_CMP_NE": SCMP_CMP_NE, "SCMP_CMP_LT": SCMP_CMP_LT, "SCMP_CMP_LE": SCMP_CMP_LE, "SCMP_CMP_EQ": SCMP_CMP_EQ,
      "SCMP_CMP_GE": SCMP_CMP_GE, "SCMP_CMP_GT": SCMP_CMP_GT, "SCMP_CMP_MASKED_EQ": SCMP_CMP_MASKED_EQ,
    ]
    guard let index = json["index"]?.intValue, (0...5).contains(index),
      let operation = operations[json["op"]?.stringValue ?? ""]
    else { throw problem("the argument \(json.text) of a rule is not understood") }
    let second = json["valueTwo"].map(number) ?? 0
    guard let value = number(json["value"]), let second else {
      throw problem("the argument \(json.text) of a rule has a number that is not whole or not from 0 to 2^64-1")
    }
    return scmp_arg_cmp(arg: UInt32(index), op: operation, datum_a: value, datum_b: second)
  }

  /// Numbers of the kernel may have 64 bits, which a tree has as text. A double stands for its neighbours too.
  private func number(_ json: JSON?) -> UInt64? {
    switch json {
    case .int(let value)?: UInt64(exactly: value)
    case .string(let text)?: UInt64(text)
    default: nil
    }
  }

  private func action(_ name: String, _ code: JSON?) throws(IOError) -> UInt32 {
    let errno = code.map { $0.intValue ?? -1 } ?? Int64(EPERM)
    guard (0...4_095).contains(errno) else { throw problem("errnoRet \(code?.text ?? "") is no error number") }
    switch name {
    case "SCMP_ACT_ALLOW": return 0x7FFF_0000
    case "SCMP_ACT_LOG": return 0x7FFC_0000
    case "SCMP_ACT_ERRNO": return 0x0005_0000 | UInt32(errno)
    case "SCMP_ACT_TRAP": return 0x0003_0000
    case "SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD": return 0
    case "SCMP_ACT_KILL_PROCESS": return 0x8000_0000
    default: throw problem("the action \(name) is not one of this version's")
    }
  }

  private func check(_ json: JSON, _ members: Set<String>, _ what: String) throws(IOError) {
    guard let object = json.objectValue else { throw problem("\(what) is no object") }
    if let other = object.keys.first(where: { !members.contains($0) }) {
      throw problem("\(what) has the member \(other), which the OCI runtime specification does not have")
    }
  }

  private func problem(_ message: String) -> IOError {
    IOError(operation: "load seccomp profile", subject: path, message: message)
  }
}
