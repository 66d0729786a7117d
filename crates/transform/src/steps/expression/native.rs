//! Conditions of simple comparisons, evaluated without the interpreter.
//!
//! The meaning is CEL's own. Whatever is not certain here (a value of another type than the
//! literal, text with escapes) is left to the interpreter, record by record; a test holds the two
//! against each other.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use crate::record::Record;
use crate::value::Value;

/// What a condition comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// It has no answer, or none that is true or false.
    Unknown,
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

#[derive(Debug)]
pub(super) enum Native {
    And(Box<[Self; 2]>),
    Or(Box<[Self; 2]>),
    Not(Box<Self>),
    Compare(usize, Comparison, Literal),
    In(usize, Vec<Literal>),
    Text(usize, Test, String),
    Field(usize),
    Constant(bool),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Test {
    StartsWith,
    EndsWith,
    Contains,
}

impl Native {
    /// The condition, if all of it is simple.
    pub(super) fn lower(expression: &IdedExpr, slots: &[(String, usize)]) -> Option<Self> {
        match &expression.expr {
            Expr::Ident(_) => Some(Self::Field(field(expression, slots)?)),
            Expr::Literal(LiteralValue::Boolean(value)) => Some(Self::Constant(*value.inner())),
            Expr::Call(call) => Self::call(call, slots),
            _ => None,
        }
    }

    fn call(call: &CallExpr, slots: &[(String, usize)]) -> Option<Self> {
        if let Some(target) = &call.target {
            let test = match call.func_name.as_str() {
                "startsWith" => Test::StartsWith,
                "endsWith" => Test::EndsWith,
                "contains" => Test::Contains,
                _ => return None,
            };
            let [argument] = &call.args[..] else { return None };
            let Literal::Text(text) = literal(argument)? else { return None };
            return Some(Self::Text(field(target, slots)?, test, text));
        }
        let comparison = match (call.func_name.as_str(), &call.args[..]) {
            (operators::LOGICAL_NOT, [inner]) => {
                return Some(Self::Not(Box::new(Self::lower(inner, slots)?)));
            }
            (operators::LOGICAL_AND, [a, b]) => {
                return Some(Self::And(Box::new([Self::lower(a, slots)?, Self::lower(b, slots)?])));
            }
            (operators::LOGICAL_OR, [a, b]) => {
                return Some(Self::Or(Box::new([Self::lower(a, slots)?, Self::lower(b, slots)?])));
            }
            (operators::IN, [of, list]) => {
                let Expr::List(list) = &list.expr else { return None };
                let items = list.elements.iter().map(literal).collect::<Option<_>>()?;
                return Some(Self::In(field(of, slots)?, items));
            }
            (operators::EQUALS, _) => Comparison::Equal,
            (operators::NOT_EQUALS, _) => Comparison::NotEqual,
            (operators::LESS, _) => Comparison::Less,
            (operators::LESS_EQUALS, _) => Comparison::LessOrEqual,
            (operators::GREATER, _) => Comparison::Greater,
            (operators::GREATER_EQUALS, _) => Comparison::GreaterOrEqual,
            _ => return None,
        };
        let [a, b] = &call.args[..] else { return None };
        match (field(a, slots), field(b, slots)) {
            (Some(slot), None) => Some(Self::Compare(slot, comparison, literal(b)?)),
            (None, Some(slot)) => Some(Self::Compare(slot, comparison.turned(), literal(a)?)),
            _ => None,
        }
    }

    /// Whether it holds; `None` where only the interpreter knows.
    pub(super) fn holds(&self, record: &Record<'_>) -> Option<Truth> {
        match self {
            // Both sides count: false and an error are false, true or an error are true.
            Self::And(sides) => match sides[0].holds(record)? {
                Truth::False => Some(Truth::False),
                first => match (first, sides[1].holds(record)?) {
                    (_, Truth::False) => Some(Truth::False),
                    (Truth::True, Truth::True) => Some(Truth::True),
                    _ => Some(Truth::Unknown),
                },
            },
            Self::Or(sides) => match sides[0].holds(record)? {
                Truth::True => Some(Truth::True),
                first => match (first, sides[1].holds(record)?) {
                    (_, Truth::True) => Some(Truth::True),
                    (Truth::False, Truth::False) => Some(Truth::False),
                    _ => Some(Truth::Unknown),
                },
            },
            Self::Not(inner) => Some(match inner.holds(record)? {
                Truth::True => Truth::False,
                Truth::False => Truth::True,
                Truth::Unknown => Truth::Unknown,
            }),
            Self::Compare(slot, comparison, literal) => {
                comparison.holds(*record.values.get(*slot)?, literal)
            }
            Self::In(slot, items) => {
                let value = *record.values.get(*slot)?;
                let mut found = false;
                for item in items {
                    found |= Comparison::Equal.holds(value, item)? == Truth::True;
                }
                Some(found.into())
            }
            Self::Text(slot, test, text) => {
                let value = plain(*record.values.get(*slot)?)?;
                Some(
                    match test {
                        Test::StartsWith => value.starts_with(text.as_str()),
                        Test::EndsWith => value.ends_with(text.as_str()),
                        Test::Contains => {
                            memchr::memmem::find(value.as_bytes(), text.as_bytes()).is_some()
                        }
                    }
                    .into(),
                )
            }
            Self::Field(slot) => match record.values.get(*slot)? {
                Value::Bool(value) => Some((*value).into()),
                _ => None,
            },
            Self::Constant(value) => Some((*value).into()),
        }
    }
}

impl Comparison {
    /// The same comparison with its sides changed over.
    const fn turned(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    fn holds(self, value: Value<'_>, literal: &Literal) -> Option<Truth> {
        let order = match (value, literal) {
            (Value::Null, Literal::Null) => Some(std::cmp::Ordering::Equal),
            (Value::Null, _) | (_, Literal::Null) => None,
            (Value::Integer(a), Literal::Integer(b)) => Some(a.cmp(b)),
            (Value::Bool(a), Literal::Bool(b)) => Some(a.cmp(b)),
            (value, Literal::Text(b)) => Some(plain(value)?.cmp(b.as_str())),
            _ => return None,
        };
        let equal = order == Some(std::cmp::Ordering::Equal);
        match (self, order) {
            (Self::Equal, _) => Some(equal.into()),
            (Self::NotEqual, _) => Some((!equal).into()),
            (_, None) => Some(Truth::Unknown),
            // Whether null, or false, is less than something is the interpreter's affair.
            _ if matches!(literal, Literal::Null | Literal::Bool(_)) => None,
            (Self::Less, Some(order)) => Some(order.is_lt().into()),
            (Self::LessOrEqual, Some(order)) => Some(order.is_le().into()),
            (Self::Greater, Some(order)) => Some(order.is_gt().into()),
            (Self::GreaterOrEqual, Some(order)) => Some(order.is_ge().into()),
        }
    }
}

/// Text that is as it stands.
fn plain(value: Value<'_>) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        Value::Logged(text) => text.as_plain().or_else(|| {
            let text = text.as_logged();
            memchr::memchr(b'\\', text.as_bytes()).is_none().then_some(text)
        }),
        _ => None,
    }
}

fn field(expression: &IdedExpr, slots: &[(String, usize)]) -> Option<usize> {
    let Expr::Ident(name) = &expression.expr else { return None };
    slots.iter().find(|(known, _)| known == name).map(|(_, slot)| *slot)
}

fn literal(expression: &IdedExpr) -> Option<Literal> {
    let Expr::Literal(literal) = &expression.expr else { return None };
    Some(match literal {
        LiteralValue::Null => Literal::Null,
        LiteralValue::Boolean(value) => Literal::Bool(*value.inner()),
        LiteralValue::Int(value) => Literal::Integer(*value.inner()),
        LiteralValue::String(value) => Literal::Text(value.inner().to_owned()),
        _ => return None,
    })
}
