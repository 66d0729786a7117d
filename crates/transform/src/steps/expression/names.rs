//! Names in an expression that mean nothing. The language would report them record by record.

use cel::common::ast::{EntryExpr, Expr, IdedExpr};

use super::Wrong;
use crate::scope::{Known, Scope};

/// The functions of the language. Regular expressions, dates and optional values are not built in.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// The names of types, which an expression compares with `type(…)`.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Finds the fields that an expression uses, or says of each unknown name what is known instead.
pub(super) fn resolve(expression: &IdedExpr, fields: &mut Scope) -> Result<Vec<Known>, Vec<Wrong>> {
    let mut found = Names { fields, scope: Vec::new(), used: Vec::new(), unknown: Vec::new() };
    found.visit(expression);
    if found.unknown.is_empty() { Ok(found.used) } else { Err(found.unknown) }
}

/// How many brackets are open at once, outside of quoted text.
pub(super) fn nesting(expression: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    let mut quote = None;
    let mut bytes = expression.bytes();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => drop(bytes.next()),
            (Some(until), _) if until == byte => quote = None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => {
                open += 1;
                most = most.max(open);
            }
            (None, b')' | b']' | b'}') => open = open.saturating_sub(1),
            _ => {}
        }
    }
    most
}

struct Names<'e> {
    fields: &'e mut Scope,
    /// The variables of the comprehensions around, such as `p` in `paths.exists(p, …)`.
    scope: Vec<&'e str>,
    used: Vec<Known>,
    unknown: Vec<Wrong>,
}

impl<'e> Names<'e> {
    fn visit(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Ident(name) => self.variable(name),
            Expr::Call(call) => {
                self.function(&call.func_name);
                call.target.iter().for_each(|target| self.visit(target));
                call.args.iter().for_each(|arg| self.visit(arg));
            }
            Expr::Comprehension(each) => {
                self.visit(&each.iter_range);
                self.visit(&each.accu_init);
                let outer = self.scope.len();
                self.scope.extend([each.iter_var.as_str(), each.accu_var.as_str()]);
                self.scope.extend(each.iter_var2.as_deref());
                self.visit(&each.loop_cond);
                self.visit(&each.loop_step);
                self.visit(&each.result);
                self.scope.truncate(outer);
            }
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(fields) => {
                self.report(format!("there is no type {:?}", fields.type_name), &TYPES.join(", "));
            }
            Expr::Select(select) => self.visit(&select.operand),
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn entry(&mut self, entry: &'e EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
        }
    }

    fn variable(&mut self, name: &str) {
        if self.scope.contains(&name) || self.used.iter().any(|used| used.field.name == name) {
            return;
        }
        // A field that the pipeline declares hides the type of that name; an open input's does not.
        if TYPES.contains(&name) && self.fields.get(name).is_none() {
            return;
        }
        match self.fields.find(name) {
            Some(known) => self.used.push(known),
            None => {
                let known = self.fields.names().join(", ");
                self.report(format!("there is no field {name:?} here"), &known);
            }
        }
    }

    fn function(&mut self, name: &str) {
        // Operators are calls too, of names that are no identifiers: `_&&_`, `!_`, `@in`.
        let operator = !name.starts_with(|first: char| first.is_ascii_alphabetic());
        if !operator && !FUNCTIONS.contains(&name) {
            self.report(format!("there is no function {name:?}"), &FUNCTIONS.join(", "));
        }
    }

    fn report(&mut self, what: String, known: &str) {
        let wrong = (what, format!("there are {known}"));
        if !self.unknown.contains(&wrong) {
            self.unknown.push(wrong);
        }
    }
}
